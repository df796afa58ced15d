#ifndef FIFOBUS_BROKER_CORE_LOGS_DURABLE_LOG_H_
#define FIFOBUS_BROKER_CORE_LOGS_DURABLE_LOG_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/time/time.h"
#include "broker/base/mutex.h"
#include "broker/base/sparse_log.h"
#include "broker/core/logs/batch_buffer.h"
#include "broker/core/logs/log_outcome.h"
#include "broker/core/logs/log_reader.h"
#include "broker/core/logs/log_recovery.h"
#include "broker/core/logs/log_writer.h"
#include "broker/core/logs/publisher_table.h"
#include "broker/core/logs/retention.h"
#include "broker/options.h"
#include "broker/rules/log_rule.h"
#include "broker/seam/disk.h"

namespace fifobus {

// Told of a log's events, on the thread that commits, with no lock held.
//
// Single-threaded: the committer's.
class LogObserver {
 public:
  virtual ~LogObserver() = default;
  // Everything up to there is in the file, or on disk: readers may read it, and
  // it is to be confirmed.
  virtual void OnWritten(uint64_t /*offset*/) {}
  virtual void OnCommitted(uint64_t /*offset*/) {}
  // The backlog was full and is below half.
  virtual void OnRoom() {}
  // The log's outcome() has changed.
  virtual void OnOutcome(LogOutcome /*outcome*/, std::string_view /*reason*/) {}
  // Up to which offset all durable readers have finished; nothing if there are
  // none.
  virtual std::optional<uint64_t> DoneOffset() { return std::nullopt; }
};

// A batch that is to be stored: messages of one publisher, or of publishers
// without names.
struct LogAppend {
  std::string_view publisher;
  uint64_t first_sequence = 0;  // of a named publisher; they rise
  uint64_t last_sequence = 0;
  uint32_t count = 0;
  uint32_t body_bytes = 0;
  uint64_t now_unix_nanos = 0;
};

enum class AppendOutcome {
  kAppended,
  kRepeated,           // `mark`: the batch holds sequences up to there
  kTooManyPublishers,  // a new name beyond log_publishers_max
  kFailed,             // the log has failed
};

struct [[nodiscard]] AppendResult {
  AppendOutcome outcome = AppendOutcome::kFailed;
  // The backlog is full: pause the ingress until OnRoom. The batch was taken.
  bool full = false;
  uint64_t base_offset = 0;
  PublisherTable::Mark mark;
};

// One durable log: messages in one order, with offsets from 1 without holes. It
// takes batches from any thread into memory, and one thread commits them. What
// is committed survives the process and the machine, and can be read.
//
// A log is not a queue: it knows no readers, only what each of them asks for.
//
// Thread-safe but for Commit, Cover, Retain and FinishTrim, which are for one
// thread at a time, the committer's. Both locks are leaves.
class DurableLog {
 public:
  // Locks the folder, recovers what is in it, and has the tail that may not be
  // on disk there before it returns. Without room for that the log is open,
  // with outcome() kNoRoom. `observer` must outlive the log.
  struct [[nodiscard]] Opened {
    LogOutcome outcome = LogOutcome::kDone;
    std::string reason;
    std::unique_ptr<DurableLog> log;  // null unless kDone
    // What of the last segment was stored and cannot be read.
    std::vector<MissingRange> missing;
  };
  static Opened Open(std::unique_ptr<Disk> disk, const LogRule& rule,
                     const BrokerOptions& options, LogObserver& observer);

  // Gives the batch its offsets, and has `write_body` write its body: exactly
  // body_bytes, the same number whatever the offset. It is called under the
  // log's lock and must do nothing else.
  struct Placement {
    uint64_t base_offset;
    uint64_t stored_time_unix_nanos;
  };
  using BodyWriter = absl::FunctionRef<void(const Placement&, char* body)>;
  AppendResult Append(const LogAppend& batch, BodyWriter write_body);

  // Where a publisher stands, with what is not committed yet. A message up to
  // that sequence is a repeat, which is to be confirmed once the mark's offset
  // is committed.
  std::optional<PublisherTable::Mark> FindPublisher(std::string_view name);

  // Writes what was appended, and syncs it. kNoRoom: call again later. kFailed
  // is final.
  LogOutcome Commit(LogWriter::SyncWhen when);
  // Writes a batch that says what is on disk, if no other has. To be called
  // when the log is idle, and before its end.
  LogOutcome Cover();
  // Removes the segments that the rule no longer keeps.
  void Retain(uint64_t now_unix_nanos);
  // Removes the files of what was trimmed.
  void FinishTrim();
  // True: Commit has nothing to do, and Cover has nothing to say.
  bool idle() const { return writer_.idle(); }
  bool covered() const {
    return writer_.covered_offset() >= writer_.committed_offset();
  }

  // The backlog is full: sync, whatever the interval.
  bool full() const;

  // Waits until something was appended, or Wake was called, or for so long.
  void WaitForWork(absl::Duration timeout);
  void Wake();

  LogView view() const;
  LogReadResult Read(uint64_t from_offset, size_t bytes_max) const {
    return ReadLog(view(), from_offset, bytes_max);
  }
  // The first offset stored at that time or later; the next one if there is
  // none. Nothing: the disk could not be read.
  std::optional<uint64_t> FindOffset(absl::Time time) const;
  uint64_t committed_offset() const { return view().committed_offset; }
  // What the next message will get.
  uint64_t next_offset() const;
  // The first offset that is still there.
  uint64_t first_offset() const;
  // What was appended and is not known to be on disk, in bytes.
  size_t backlog_bytes() const;

  // Removes the whole segments below an offset, now from what is read and soon
  // from the disk. The segment that is written to goes when the next message
  // begins another.
  void Trim(uint64_t first_offset);

  // kDone, kNoRoom or kFailed.
  LogOutcome outcome() const {
    return outcome_.load(std::memory_order_relaxed);
  }

  const std::string& name() const { return name_; }
  const LogId& id() const { return id_; }
  LogRule rule() const;
  // Takes effect with the next commit or look at what is to be kept. The name
  // stays what it is.
  void SetRule(const LogRule& rule);
  // For files beside the log's own.
  Disk& disk() { return *disk_; }

 private:
  DurableLog(std::unique_ptr<Disk> disk, const LogRule& rule,
             const BrokerOptions& options, LogObserver& observer,
             RecoveredLog recovered);

  LogOutcome Publish(WriteOutcome outcome);
  void PublishSegments();
  // Returns true if the backlog has room again.
  bool SettleBacklog(bool failed);
  void SetOutcome(LogOutcome outcome);
  void DropSegments(size_t count) ABSL_EXCLUSIVE_LOCKS_REQUIRED(view_mutex_);
  void DropTrimmed() ABSL_EXCLUSIVE_LOCKS_REQUIRED(view_mutex_);
  void RemoveFiles();
  std::vector<SegmentSize> SegmentSizes() const;

  const std::string name_;
  const LogId id_;
  const BrokerOptions& options_;
  LogObserver& observer_;
  const std::unique_ptr<Disk> disk_;
  std::atomic<LogOutcome> outcome_{LogOutcome::kDone};

  // Of the committer's thread.
  LogWriter writer_;
  uint64_t told_written_ = 0;
  uint64_t told_committed_ = 0;
  SparseLog remove_failures_;
  // Set by any thread.
  std::atomic<bool> roll_wanted_{false};

  mutable Mutex append_mutex_;
  Condition work_;
  BatchBuffer open_ ABSL_GUARDED_BY(append_mutex_);
  PublisherTable publishers_ ABSL_GUARDED_BY(append_mutex_);
  uint64_t next_offset_ ABSL_GUARDED_BY(append_mutex_) = 1;
  uint64_t stored_time_unix_nanos_ ABSL_GUARDED_BY(append_mutex_) = 0;
  size_t in_flight_bytes_ ABSL_GUARDED_BY(append_mutex_) = 0;
  bool full_ ABSL_GUARDED_BY(append_mutex_) = false;
  bool failed_ ABSL_GUARDED_BY(append_mutex_) = false;
  bool woken_ ABSL_GUARDED_BY(append_mutex_) = false;

  mutable Mutex view_mutex_;
  LogView view_ ABSL_GUARDED_BY(view_mutex_);
  uint64_t trimmed_below_ ABSL_GUARDED_BY(view_mutex_) = 0;
  // Files of segments that are no part of the view any more, oldest first.
  std::deque<SegmentName> to_remove_ ABSL_GUARDED_BY(view_mutex_);
  LogRule rule_ ABSL_GUARDED_BY(view_mutex_);
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_LOGS_DURABLE_LOG_H_
