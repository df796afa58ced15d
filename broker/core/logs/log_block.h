#ifndef FIFOBUS_BROKER_CORE_LOGS_LOG_BLOCK_H_
#define FIFOBUS_BROKER_CORE_LOGS_LOG_BLOCK_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "broker/core/logs/log_outcome.h"
#include "broker/core/logs/log_reader.h"
#include "broker/core/logs/segment.h"
#include "broker/seam/chunk.h"
#include "broker/seam/disk.h"

namespace fifobus {

// A piece of a log in memory: neighbouring batches, each found whole.
// Immutable, hence Thread-safe.
struct LogBlock {
  // The body of one batch: `count` messages, each with its Delivery in front.
  struct Body {
    std::string_view bytes;  // in the chunk
    uint64_t position = 0;   // of these bytes in the file
    uint64_t first_offset = 0;
    uint32_t count = 0;

    uint64_t end_offset() const { return first_offset + count; }
  };

  ChunkRef chunk;
  // Where the bodies lie as well; null: not told.
  std::shared_ptr<const DiskFile> file;
  absl::Duration read_at;    // as MonotonicNow
  std::vector<Body> bodies;  // not empty
  // Where the next block begins, if that is known.
  std::shared_ptr<Segment> segment;
  uint64_t end_position = 0;

  uint64_t first_offset() const { return bodies.front().first_offset; }
  uint64_t end_offset() const { return bodies.back().end_offset(); }
};

struct [[nodiscard]] LogBlockRead {
  LogReadOutcome outcome = LogReadOutcome::kEnd;
  // With kExtents. The first body may begin below the offset asked for.
  std::shared_ptr<const LogBlock> block;
  MissingRange missing;  // with kTrimmed and kDamaged
};

// Reads about `bytes_max` and at least one batch, each byte once, and checks
// the hashes. `before`, if not null, may be the block that ends where this one
// begins.
LogBlockRead ReadLogBlock(const LogView& view, uint64_t from_offset,
                          size_t bytes_max, const LogBlock* before);

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_LOGS_LOG_BLOCK_H_
