#ifndef FIFOBUS_BROKER_CORE_LOGS_RETENTION_H_
#define FIFOBUS_BROKER_CORE_LOGS_RETENTION_H_

#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/types/span.h"
#include "broker/rules/log_rule.h"

namespace fifobus {

// What retention looks at of a segment.
struct SegmentSize {
  uint64_t base_offset = 0;
  uint64_t bytes = 0;
  // No message in it was stored later.
  uint64_t last_time_unix_nanos = 0;
};

// How many of the oldest segments are to go. The last one always stays, since
// it is written to. `done_offset`: all durable readers have finished up to
// there; nothing if there are none.
size_t SegmentsToDrop(absl::Span<const SegmentSize> segments,
                      uint64_t committed_offset, const LogRule& rule,
                      uint64_t now_unix_nanos,
                      std::optional<uint64_t> done_offset);

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_LOGS_RETENTION_H_
