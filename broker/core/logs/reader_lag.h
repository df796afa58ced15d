#ifndef FIFOBUS_BROKER_CORE_LOGS_READER_LAG_H_
#define FIFOBUS_BROKER_CORE_LOGS_READER_LAG_H_

#include <algorithm>
#include <cstdint>

#include "broker/core/logs/reader_file.h"

namespace fifobus {

// The messages from `first_offset` to below `next_offset` that a durable reader
// has not finished, of all topics of its log. Thread-safe (no state).
inline uint64_t ReaderLag(const ReaderRecord& reader, uint64_t first_offset,
                          uint64_t next_offset) {
  const uint64_t begin = std::max(reader.position, first_offset);
  if (begin >= next_offset) return 0;
  uint64_t left = next_offset - begin;
  reader.done_above.ForEach([&](uint64_t first, uint64_t last) {
    const uint64_t from = std::max(first, begin);
    const uint64_t end = std::min(last + 1, next_offset);
    if (from < end) left -= end - from;
  });
  return left;
}

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_LOGS_READER_LAG_H_
