#ifndef FIFOBUS_BROKER_CORE_LOGS_READER_TABLE_H_
#define FIFOBUS_BROKER_CORE_LOGS_READER_TABLE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "broker/base/mutex.h"
#include "broker/base/sparse_log.h"
#include "broker/core/logs/durable_reader.h"
#include "broker/core/logs/log_format.h"
#include "broker/core/logs/reader_file.h"
#include "broker/options.h"
#include "broker/seam/disk.h"
#include "broker/state/reader_state.pb.h"

namespace fifobus {

// The durable readers of one log. A thread of its own writes their places into
// the file `readers`: at once after a change, then at most every
// log_readers_write_interval, and at the end. It sleeps without a timer while
// nothing changes.
//
// Thread-safe. The locks are leaves but for mutex_, under which each reader's
// is taken.
class ReaderTable {
 public:
  // Reads the file. A position beyond `next_offset`, the log's, becomes that.
  // `disk` must outlive it; `on_stored` is called on its thread when new
  // readers are on disk.
  static absl::StatusOr<std::unique_ptr<ReaderTable>> Load(
      Disk& disk, const LogId& log_id, const std::string& log_name,
      uint64_t next_offset, const BrokerOptions& options,
      std::function<void()> on_stored);
  // Writes what has changed, if the disk lets it.
  ~ReaderTable();
  ReaderTable(const ReaderTable&) = delete;
  ReaderTable& operator=(const ReaderTable&) = delete;

  // Null: there is none of this name.
  std::shared_ptr<DurableReader> Find(std::string_view name) const;

  enum class OpenOutcome {
    kOpened,
    kOtherPattern,  // there is one of this name, which reads another pattern
    kOtherGroup,    // or in another group, or in none
    kTooMany,       // log_readers_max
  };
  struct [[nodiscard]] Opened {
    OpenOutcome outcome = OpenOutcome::kOpened;
    // The one of this name, also if it differs; null with kTooMany.
    std::shared_ptr<DurableReader> reader;
  };
  // The reader of this name. One that is new begins at `start`. The caller
  // waits until it is stored() before it says that there is one.
  Opened Open(const std::string& name, const std::string& pattern,
              const std::string& group, uint64_t start);

  // In the order of their names.
  std::vector<std::shared_ptr<DurableReader>> List() const;

  enum class ChangeOutcome { kDone, kUnknown, kInUse };
  // Puts it elsewhere.
  [[nodiscard]] ChangeOutcome Seek(std::string_view name, uint64_t position);
  [[nodiscard]] ChangeOutcome Forget(std::string_view name);

  // What an upgrade takes over: each reader's exact place, also what is not on
  // disk yet. It replaces what the file had. REQUIRES: no reader is in use.
  using States = google::protobuf::RepeatedPtrField<pb::state::DurableReader>;
  States Export() const;
  void Restore(const States& states, uint64_t next_offset);

  // Up to which offset all have finished; nothing: there are none.
  std::optional<uint64_t> DoneOffset() const;

 private:
  ReaderTable(Disk& disk, const LogId& log_id, std::string log_name,
              const BrokerOptions& options, std::function<void()> on_stored);

  // A place beyond the log's end becomes that.
  void Bound(ReaderRecord& record, uint64_t next_offset) const;
  std::shared_ptr<DurableReader> Make(ReaderRecord record)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void NoteChange();
  void Run();
  DiskOutcome Write();

  Disk& disk_;
  const LogId log_id_;
  const std::string log_name_;
  const BrokerOptions& options_;
  const std::function<void()> on_stored_;
  SparseLog failures_;  // of the thread

  mutable Mutex mutex_;
  std::map<std::string, std::shared_ptr<DurableReader>, std::less<>> readers_
      ABSL_GUARDED_BY(mutex_);

  Mutex work_mutex_;
  Condition work_;
  bool changed_ ABSL_GUARDED_BY(work_mutex_) = false;
  bool ending_ ABSL_GUARDED_BY(work_mutex_) = false;

  std::thread thread_;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_LOGS_READER_TABLE_H_
