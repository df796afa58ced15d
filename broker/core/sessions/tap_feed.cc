#include "broker/core/sessions/tap_feed.h"

#include <utility>

#include "broker/base/check.h"
#include "broker/base/log.h"
#include "proto/expiry.h"
#include "proto/frame.h"
#include "proto/frame_writer.h"

namespace fifobus {
namespace {

constexpr std::string_view kTooLong =
    "it is longer than a tap takes; publish it with a session";
constexpr std::string_view kDenied =
    "the configuration does not let the FIFO's owner publish on this topic";

}  // namespace

TapFeed::TapFeed(std::string topic, uint32_t owner,
                 const BrokerOptions& options, Router& router,
                 Counters& counters, std::function<void()> before_routing)
    : topic_(std::move(topic)),
      owner_(owner),
      line_bytes_max_(options.tap_line_bytes_max),
      router_(router),
      counters_(counters),
      before_routing_(std::move(before_routing)) {}

Feed::Admission TapFeed::Admit(size_t unread_bytes, size_t pipe_bytes) {
  before_routing_();
  const bool read = unread_bytes >= pipe_bytes / 2 ||
                    router_.HasSubscriber(topic_) || router_.HasHistory(topic_);
  return read ? Admission::kRead : Admission::kRest;
}

FeedResult TapFeed::OnBytes(const ChunkRef&, std::string_view bytes) {
  FeedResult result;
  if (skipping_) {
    const size_t end = bytes.find('\n');
    skipping_ = end == std::string_view::npos;
    result.bytes_taken = skipping_ ? bytes.size() : end + 1;
    if (skipping_) return result;
  }
  const size_t last = bytes.rfind('\n');
  if (last != std::string_view::npos && last >= result.bytes_taken) {
    PublishLines(
        bytes.substr(result.bytes_taken, last + 1 - result.bytes_taken));
    result.bytes_taken = last + 1;
  }
  if (bytes.size() - result.bytes_taken >= line_bytes_max_) {
    RefuseLine(kTooLong);
    skipping_ = true;
    result.bytes_taken = bytes.size();
  }
  return result;
}

FeedOutcome TapFeed::OnHangUp(std::string_view rest) {
  skipping_ = false;
  if (!rest.empty()) {
    AppendLine(rest, UnixNanosNow());
    Route();
  }
  return FeedOutcome::kContinue;
}

void TapFeed::PublishLines(std::string_view lines) {
  const auto now = UnixNanosNow();
  while (!lines.empty()) {
    const size_t end = lines.find('\n');
    const std::string_view line = lines.substr(0, end);
    lines.remove_prefix(end + 1);
    if (line.size() + 1 > line_bytes_max_) {
      RefuseLine(kTooLong);
    } else {
      AppendLine(line, now);
    }
  }
  Route();
}

void TapFeed::AppendLine(std::string_view line, uint64_t now_unix_nanos) {
  MessageFields fields;
  fields.topic = topic_;
  fields.payload = line;
  fields.sequence = ++sequence_;
  fields.publish_time_unix_nanos = now_unix_nanos;
  AppendMessageFrame(fields, frames_);
}

void TapFeed::Route() {
  if (frames_.empty()) return;
  before_routing_();
  const ChunkRef chunk = Chunk::CopyOf(frames_);
  std::string_view rest = chunk->view();
  router_.Begin(chunk, valve_, {owner_, /*session=*/0});
  while (!rest.empty()) {
    const size_t frame_bytes = FindFrame(rest, rest.size()).frame_bytes;
    const std::string_view frame = rest.substr(0, frame_bytes);
    rest.remove_prefix(frame_bytes);
    const Router::Outcome outcome = router_.Add(frame, ReadMessageFrame(frame));
    if (outcome == Router::Outcome::kDenied) {
      RefuseLine(kDenied);
    } else {
      FIFOBUS_CHECK(outcome == Router::Outcome::kRouted);
    }
  }
  router_.Flush();
  frames_.clear();
}

void TapFeed::RefuseLine(std::string_view reason) {
  counters_.lines_refused.Add();
  if (const auto refused = refused_lines_.Count()) {
    LogWarning("line refused", {{"topic", topic_},
                                {"reason", reason},
                                {"line_bytes_max", line_bytes_max_},
                                {"refused", *refused}});
  }
}

}  // namespace fifobus
