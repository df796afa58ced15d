#ifndef FIFOBUS_BROKER_CORE_LOGS_SEGMENT_H_
#define FIFOBUS_BROKER_CORE_LOGS_SEGMENT_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "broker/base/mutex.h"
#include "broker/core/logs/log_format.h"
#include "broker/seam/disk.h"

namespace fifobus {

// Reads a whole file, which is small.
struct [[nodiscard]] FileText {
  DiskResult result;
  std::string text;
};
FileText ReadFileText(const DiskFile& file, uint64_t bytes_max);

// Writes all the parts' bytes, in as many calls as that takes.
DiskResult WriteWhole(DiskFile& file, uint64_t position,
                      std::string_view bytes);

// One segment of a log as its readers see it: its file, how much of it is on
// disk, and a sparse index. The index of a segment that is no longer written
// comes from its index file, or from the headers if there is none that fits. It
// only says where to begin: what lies there is checked.
//
// Thread-safe. The disk must outlive it.
class Segment {
 public:
  struct Facts {
    SegmentName name;
    LogId log_id;
    uint64_t base_time_unix_nanos = 0;
    uint64_t header_bytes = kSegmentHeaderUnit;
    uint64_t end_position = kSegmentHeaderUnit;
  };
  // `indexed`: its writer calls AddIndexEntry for all of it.
  Segment(Disk& disk, const Facts& facts, bool indexed)
      : disk_(disk),
        facts_(facts),
        end_position_(facts.end_position),
        indexed_(indexed) {}

  const SegmentName& name() const { return facts_.name; }
  uint64_t base_offset() const { return facts_.name.base_offset; }
  uint64_t base_time_unix_nanos() const { return facts_.base_time_unix_nanos; }
  uint64_t header_bytes() const { return facts_.header_bytes; }
  uint64_t seed() const { return facts_.log_id.seed(); }

  // Where that ends of it which may be read.
  uint64_t end_position() const {
    return end_position_.load(std::memory_order_acquire);
  }
  void SetEndPosition(uint64_t position) {
    end_position_.store(position, std::memory_order_release);
  }

  // Open while somebody has it.
  OpenedFile File();

  void AddIndexEntry(const IndexEntry& entry);

  // The last entry that is not behind the offset or the time; the segment's
  // first batch if there is none.
  IndexEntry LocateOffset(uint64_t offset);
  IndexEntry LocateTime(uint64_t unix_nanos);
  // Its first batch, as the index has it; without an index the base time.
  IndexEntry FirstEntry();

  // Writes the index file, as well as it can.
  void StoreIndex();

 private:
  // Gets the entries from the disk where that is still to be done.
  void LoadOnce();
  std::vector<IndexEntry> ReadIndex();
  std::vector<IndexEntry> BuildIndex();
  IndexEntry First() const;

  Disk& disk_;
  const Facts facts_;
  std::atomic<uint64_t> end_position_;

  Mutex mutex_;
  std::weak_ptr<DiskFile> file_ ABSL_GUARDED_BY(mutex_);
  std::vector<IndexEntry> index_ ABSL_GUARDED_BY(mutex_);
  bool indexed_ ABSL_GUARDED_BY(mutex_);
};

// How far apart a segment's entries are: options.h.
struct IndexSpacing {
  uint64_t bytes;
  uint64_t next_position = 0;

  // True if the batch is worth an entry.
  bool Takes(const BatchHeader& header) {
    if (header.count == 0 || header.position < next_position) return false;
    next_position = header.position + bytes;
    return true;
  }
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_LOGS_SEGMENT_H_
