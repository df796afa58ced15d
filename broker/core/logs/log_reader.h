#ifndef FIFOBUS_BROKER_CORE_LOGS_LOG_READER_H_
#define FIFOBUS_BROKER_CORE_LOGS_LOG_READER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "broker/core/logs/log_outcome.h"
#include "broker/core/logs/segment.h"
#include "broker/seam/disk.h"

namespace fifobus {

using SegmentList = std::vector<std::shared_ptr<Segment>>;

// What of a log may be read at one moment.
struct LogView {
  // Oldest first; null: none.
  std::shared_ptr<const SegmentList> segments;
  uint64_t committed_offset = 0;
};

// The body of one batch, which was found whole: `count` messages as a reader's
// pipe gets them, `bytes` of the file from `position` on.
struct LogExtent {
  std::shared_ptr<const DiskFile> file;
  uint64_t position = 0;
  uint64_t bytes = 0;
  uint64_t first_offset = 0;
  uint32_t count = 0;
  uint64_t stored_time_unix_nanos = 0;
};

enum class LogReadOutcome {
  kExtents,  // `extents`
  kEnd,      // nothing is committed yet from there on
  kTrimmed,  // retention removed what is in `missing`
  kDamaged,  // what is in `missing` was stored and cannot be read
  kFailed,   // the disk; try again later
};

struct [[nodiscard]] LogReadResult {
  LogReadOutcome outcome = LogReadOutcome::kEnd;
  // The first may begin below the offset that was asked for: batches are whole.
  std::vector<LogExtent> extents;
  MissingRange missing;
  // Where to go on; for kEnd and kFailed what was asked for.
  uint64_t next_offset = 0;
};

// The index of the segment that holds an offset, which is not below the first.
size_t SegmentIndexOf(const SegmentList& segments, uint64_t offset);

// The offset at which the segment at `index` ends.
uint64_t SegmentEndOffset(const LogView& view, size_t index);

// Reads from an offset on, about `bytes_max` and at least one batch. Each
// batch's hashes are checked on every read, so that what a disk has spoilt
// since is not delivered.
LogReadResult ReadLog(const LogView& view, uint64_t from_offset,
                      size_t bytes_max);

// The first offset stored at this time or later; behind the last one if there
// is none. Nothing: the disk could not be read.
std::optional<uint64_t> FindTime(const LogView& view, uint64_t unix_nanos);

// Reads all of a log. Returns what was stored and cannot be read.
struct [[nodiscard]] CheckedLog {
  bool failed = false;  // the disk, before the end
  std::vector<MissingRange> missing;
};
CheckedLog CheckLog(const LogView& view);

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_LOGS_LOG_READER_H_
