#ifndef FIFOBUS_BROKER_CORE_LOGS_LOG_WRITER_H_
#define FIFOBUS_BROKER_CORE_LOGS_LOG_WRITER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "broker/core/logs/batch_buffer.h"
#include "broker/core/logs/log_format.h"
#include "broker/core/logs/publisher_table.h"
#include "broker/core/logs/segment.h"
#include "broker/options.h"
#include "broker/seam/disk.h"

namespace fifobus {

enum class [[nodiscard]] WriteOutcome{
    kDone,
    kNoRoom,  // the same call may succeed when there is room
    kFailed,  // also in a new segment
};

// Brings batches to the disk, in order. Whatever is not known to be on disk is
// kept in memory. After a failed write or sync the file is left as it is, never
// written or synced again, and all that was not on disk goes into a new
// segment. A disk without room is asked again for the same bytes at the same
// place.
//
// Invariant: committed_offset <= written_offset. A segment gets its name when
// its header, and what it begins with, are on disk.
//
// Thread-compatible: of the thread that commits.
class LogWriter {
 public:
  // What recovery found, or an empty log.
  struct Start {
    LogId log_id;
    // Where writing goes on; null: in a new segment.
    std::shared_ptr<Segment> active;
    uint64_t position = 0;
    // The newest name in the folder, so that a new segment gets another.
    SegmentName last_name;
    bool names_taken = false;
    // Segments of which the next one holds everything.
    std::vector<std::string> superseded;

    uint64_t committed_offset = 0;
    uint64_t covered_offset = 0;
    uint64_t stored_time_unix_nanos = 0;
    PublisherTable publishers;  // as of committed_offset
  };
  LogWriter(Disk& disk, const BrokerOptions& options, Start start);

  // Has a segment to write to, and everything that was added on disk.
  WriteOutcome Open();

  void Add(BatchBuffer buffer);
  // Adds a batch without messages that says what is on disk, unless one of the
  // batches on disk does.
  void AddCover();

  enum class SyncWhen { kNow, kLater };
  // Writes what was added, and syncs it. kFailed is final.
  WriteOutcome Flush(SyncWhen when);

  // The next batch goes into a new segment.
  void RequestRoll() { roll_requested_ = true; }

  bool idle() const { return pending_.empty(); }
  uint64_t committed_offset() const { return now_.committed_offset; }
  uint64_t covered_offset() const { return now_.covered_offset; }
  uint64_t written_offset() const { return written_offset_; }
  size_t pending_bytes() const;
  const std::shared_ptr<Segment>& active() const { return now_.active; }
  // The last failure, for people.
  const std::string& reason() const { return reason_; }
  // A buffer whose batches are on disk, to be filled again.
  BatchBuffer TakeSpare();

 private:
  void RollIfDue();
  // Commits what is pending with it: a segment that begins with messages of an
  // older one must never be there without them.
  WriteOutcome BeginSegment();
  DiskResult WriteNewFile(const std::string& name);
  DiskResult WritePending();
  WriteOutcome SyncPending();
  void NoteCommitted();
  // Gives the active segment up; what is not on disk is to be written again.
  void Abandon();
  WriteOutcome Fault(const DiskResult& result, std::string_view call);

  Disk& disk_;
  const BrokerOptions& options_;
  Start now_;
  std::shared_ptr<DiskFile> file_;  // the active segment's
  uint64_t header_bytes_ = 0;       // of the segment that was begun last
  IndexSpacing spacing_;
  bool roll_requested_ = false;

  // What is not on disk yet; the first `written_` of them are in the file.
  std::vector<BatchBuffer> pending_;
  size_t written_ = 0;
  uint64_t written_offset_;
  BatchBuffer spare_;
  std::string reason_;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_LOGS_LOG_WRITER_H_
