#include "broker/core/sessions/tap_feed.h"

#include <utility>

#include "broker/base/check.h"
#include "broker/base/log.h"
#include "broker/state/broker_state.pb.h"
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
                    router_.HasSubscriber(topic_) || router_.IsKept(topic_);
  return read ? Admission::kRead : Admission::kRest;
}

FeedResult TapFeed::OnBytes(const ChunkRef&, std::string_view bytes) {
  FeedResult result;
  while (!writers_ends_.empty() &&
         writers_ends_.front() <= position_ + bytes.size()) {
    const std::string_view piece =
        bytes.substr(0, writers_ends_.front() - position_);
    result.bytes_taken += piece.size();
    bytes.remove_prefix(piece.size());
    TakeLast(piece.substr(TakeLines(piece)));
    Advance(piece.size());
  }
  const size_t taken = TakeLines(bytes);
  result.bytes_taken += taken;
  Advance(taken);
  rest_bytes_ = bytes.size() - taken;
  CountRefused();
  return result;
}

size_t TapFeed::TakeLines(std::string_view bytes) {
  size_t taken = 0;
  if (skipping_) {
    const size_t end = bytes.find('\n');
    if (end == std::string_view::npos) return bytes.size();
    skipping_ = false;
    taken = end + 1;
  }
  const size_t last = bytes.rfind('\n');
  if (last != std::string_view::npos && last >= taken) {
    PublishLines(bytes.substr(taken, last + 1 - taken));
    taken = last + 1;
  }
  if (bytes.size() - taken < line_bytes_max_) return taken;
  RefuseLine(kTooLong);
  skipping_ = true;
  return bytes.size();
}

void TapFeed::TakeLast(std::string_view rest) {
  skipping_ = false;
  if (rest.empty()) return;
  AppendLine(rest, UnixNanosNow());
  Route();
}

void TapFeed::Advance(size_t bytes) {
  position_ += bytes;
  while (!writers_ends_.empty() && writers_ends_.front() <= position_) {
    writers_ends_.pop_front();
  }
}

void TapFeed::OnWritersLeft(size_t unread_bytes) {
  const uint64_t end = position_ + rest_bytes_ + unread_bytes;
  if (writers_ends_.empty() || writers_ends_.back() < end) {
    writers_ends_.push_back(end);
  }
}

FeedOutcome TapFeed::OnHangUp(std::string_view rest) {
  TakeLast(rest);
  Advance(rest.size());
  rest_bytes_ = 0;
  CountRefused();
  return FeedOutcome::kContinue;
}

// Positions go over as distances from here, where the rest begins.
void TapFeed::Export(pb::state::TapIn& state) const {
  state.set_topic(topic_);
  state.set_lines(sequence_);
  state.set_skips_line(skipping_);
  for (const uint64_t end : writers_ends_) {
    state.add_writers_ends(end - position_);
  }
}

void TapFeed::Restore(const pb::state::TapIn& state, size_t rest_bytes) {
  sequence_ = state.lines();
  skipping_ = state.skips_line();
  rest_bytes_ = rest_bytes;
  writers_ends_.assign(state.writers_ends().begin(),
                       state.writers_ends().end());
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

void TapFeed::CountRefused() {
  if (refused_ > 0)
    router_.CountRefusedLines(topic_, std::exchange(refused_, 0));
}

void TapFeed::RefuseLine(std::string_view reason) {
  counters_.lines_refused.Add();
  ++refused_;
  if (const auto refused = refused_lines_.Count()) {
    LogWarning("line refused", {{"topic", topic_},
                                {"reason", reason},
                                {"line_bytes_max", line_bytes_max_},
                                {"refused", *refused}});
  }
}

}  // namespace fifobus
