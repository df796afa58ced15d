// Lines that are written to a tap, in any pieces, are the messages that a plain
// split at newlines gives.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "broker/base/log.h"
#include "broker/core/sessions/tap_feed.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/oracle.h"
#include "tests/support/core_fakes.h"

namespace fifobus::fuzz {
namespace {

// A tap and its topic's subscriber.
struct Tap {
  explicit Tap(size_t line_bytes_max) {
    options.tap_line_bytes_max = line_bytes_max;
    feed = std::make_unique<TapFeed>("t", /*owner=*/0, options, router,
                                     counters, [] {});
    feed->SetValve(std::make_shared<FakeValve>());
    table.Add("t", egress);
  }

  void Write(std::string_view bytes) {
    kept += bytes;
    if (kept.empty()) return;
    const ChunkRef chunk = Chunk::CopyOf(kept);
    const FeedResult result =
        feed->OnBytes(chunk, {chunk->bytes(), kept.size()});
    Require(result.outcome == FeedOutcome::kContinue, "a tap is not closed");
    kept.erase(0, result.bytes_taken);
    Require(kept.size() < options.tap_line_bytes_max,
            "what is kept is less than a line");
  }

  std::vector<std::string> Payloads() const {
    std::vector<std::string> payloads;
    for (const std::string& frame : Split(sink->written).frames) {
      payloads.emplace_back(ReadMessageFrame(frame).payload);
    }
    return payloads;
  }

  BrokerOptions options;
  Counters counters;
  SubscriptionTable table;
  TopicStats topic_stats{options.topic_stats_max};
  Router router{options, table, counters, topic_stats};
  std::shared_ptr<FakeSink> sink = std::make_shared<FakeSink>();
  std::shared_ptr<Egress> egress = std::make_shared<Egress>(
      0, EgressFormat::kFrames, options, sink, counters);
  std::unique_ptr<TapFeed> feed;
  std::string kept;
};

// A line with its newline has at most `most` bytes, and the last one, without a
// newline, is less than that.
std::vector<std::string> NaiveLines(std::string_view bytes, size_t most) {
  std::vector<std::string> lines;
  std::string line;
  for (const char c : bytes) {
    if (c != '\n') {
      line += c;
      continue;
    }
    if (line.size() < most) lines.push_back(line);
    line.clear();
  }
  if (!line.empty() && line.size() < most) lines.push_back(line);
  return lines;
}

}  // namespace
}  // namespace fifobus::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fifobus;        // NOLINT
  using namespace fifobus::fuzz;  // NOLINT
  StartLog(LogLevel::kOff);
  Input input(data, size);
  const size_t most = 1 + input.Byte() % 64;
  const std::string_view pieces = input.Take(1 + input.Byte() % 8);
  const std::string_view bytes = input.Rest();
  Tap tap(most);
  std::string_view rest = bytes;
  for (size_t i = 0; !rest.empty(); ++i) {
    const size_t piece = 1 + static_cast<uint8_t>(pieces[i % pieces.size()]);
    tap.Write(rest.substr(0, piece));
    rest.remove_prefix(std::min(piece, rest.size()));
  }
  (void)tap.feed->OnHangUp(tap.kept);
  Require(tap.Payloads() == NaiveLines(bytes, most), "each line is a message");
  return 0;
}
