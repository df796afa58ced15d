#include "broker/core/logs/retention.h"

#include "absl/time/time.h"

namespace fifobus {
namespace {

bool IsTooOld(const SegmentSize& segment, const LogRule& rule,
              uint64_t now_unix_nanos) {
  return rule.keep_age > absl::ZeroDuration() &&
         absl::FromUnixNanos(static_cast<int64_t>(now_unix_nanos)) -
                 absl::FromUnixNanos(
                     static_cast<int64_t>(segment.last_time_unix_nanos)) >
             rule.keep_age;
}

}  // namespace

size_t SegmentsToDrop(absl::Span<const SegmentSize> segments,
                      uint64_t committed_offset, const LogRule& rule,
                      uint64_t now_unix_nanos,
                      std::optional<uint64_t> done_offset) {
  uint64_t bytes = 0;
  for (const SegmentSize& segment : segments) bytes += segment.bytes;
  size_t dropped = 0;
  for (; dropped + 1 < segments.size(); ++dropped) {
    const uint64_t next_base = segments[dropped + 1].base_offset;
    const uint64_t messages_left = committed_offset + 1 - next_base;
    const bool done = rule.keep_until == LogRule::KeepUntil::kDone &&
                      done_offset && next_base - 1 <= *done_offset;
    const bool too_large = rule.keep_bytes > 0 && bytes > rule.keep_bytes;
    const bool too_many =
        rule.keep_messages > 0 && messages_left >= rule.keep_messages;
    if (!done && !too_large && !too_many &&
        !IsTooOld(segments[dropped], rule, now_unix_nanos)) {
      break;
    }
    bytes -= segments[dropped].bytes;
  }
  return dropped;
}

}  // namespace fifobus
