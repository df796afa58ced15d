#ifndef FIFOBUS_BROKER_CORE_LOGS_SERVED_LOG_H_
#define FIFOBUS_BROKER_CORE_LOGS_SERVED_LOG_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "broker/base/mutex.h"
#include "broker/core/logs/durable_log.h"
#include "broker/core/logs/log_blocks.h"
#include "broker/core/logs/log_committer.h"
#include "broker/core/logs/log_watch.h"
#include "broker/core/logs/reader_table.h"
#include "broker/counters.h"
#include "broker/options.h"
#include "broker/rules/log_rule.h"
#include "broker/seam/disk.h"
#include "broker/seam/feed.h"
#include "broker/state/reader_state.pb.h"

namespace fifobus {

// One log as the broker serves it: the log, the thread that commits it, the
// publishers that wait for room, and the workers that wait for it to go on.
//
// Thread-safe. The lock is a leaf.
class ServedLog : private LogObserver {
 public:
  // Opens the log, or says why not, with what to do. `workers`: how many there
  // are; `post(i, delay, task)` runs a task on the thread of worker i. `options`
  // must outlive it. It must be destroyed after the workers have run what was posted
  // to them.
  using PostToWorker =
      std::function<void(size_t, absl::Duration, std::function<void()>)>;
  static absl::StatusOr<std::shared_ptr<ServedLog>> Open(
      std::unique_ptr<Disk> disk, const LogRule& rule,
      const BrokerOptions& options, size_t workers, const PostToWorker& post);
  // Closes it.
  ~ServedLog() override;

  // Commits what was appended, as far as the disk lets it. What is appended
  // later is not stored, and nobody waits for it. Nothing is told afterwards. To
  // be called when nobody appends any more, while the workers still run.
  void Close();

  const std::string& name() const { return log_->name(); }
  DurableLog& log() { return *log_; }
  const DurableLog& log() const { return *log_; }

  // Up to where it is in the file, and on disk.
  uint64_t written_offset() const { return written_offset_.load(); }
  uint64_t committed_offset() const { return committed_offset_.load(); }

  // For good: nothing more is stored, and the offsets do not change.
  bool failed() const { return failed_.load(); }

  // Pauses the valve until the log has room, unless it does so already. To be
  // called after an append that found it full.
  void HoldBack(const std::shared_ptr<Valve>& valve);
  // How many are paused now.
  size_t held_back() const;

  // So many messages were appended, or were repeats.
  void NoteAppended(uint64_t messages) { appended_.Add(messages); }
  void NoteDuplicate() { duplicates_.Add(); }
  uint64_t appended() const { return appended_.value(); }
  uint64_t duplicates() const { return duplicates_.value(); }

  // How a worker, by its index, hears that the log has gone on.
  LogWatch& watch(size_t worker) { return *watches_[worker]; }

  // What the readers of a worker share. For the worker's thread.
  LogBlocks& blocks(size_t worker) { return *blocks_[worker]; }

  // The durable readers.
  ReaderTable& readers() { return *readers_; }
  const ReaderTable& readers() const { return *readers_; }

  // Readers go no further until they are released, and are woken then.
  void HoldReaders() { readers_held_.store(true); }
  void ReleaseReaders();
  bool readers_held() const {
    return readers_held_.load(std::memory_order_relaxed);
  }
  // Whether all that was appended is in the file.
  bool IsWritten() const {
    return failed() || written_offset() + 1 >= log_->next_offset();
  }

  // How many others read it now.
  size_t replay_readers() const { return replay_readers_.load(); }
  void NoteReplayReader(int change) { replay_readers_ += change; }

  // What an upgrade takes over beside the files. Restore comes before anybody
  // uses the log.
  pb::state::ServedLog Export() const;
  void Restore(const pb::state::ServedLog& state);

  // Why nothing is stored now; empty: all is well.
  std::string trouble() const;

 private:
  ServedLog(const BrokerOptions& options, size_t workers,
            const PostToWorker& post);

  void OnWritten(uint64_t offset) override;
  void OnCommitted(uint64_t offset) override;
  void OnRoom() override;
  void OnOutcome(LogOutcome outcome, std::string_view reason) override;
  std::optional<uint64_t> DoneOffset() override;
  void WakeAll();

  std::atomic<uint64_t> written_offset_{0};
  std::atomic<uint64_t> committed_offset_{0};
  std::atomic<bool> failed_{false};
  std::atomic<bool> readers_held_{false};
  std::vector<std::unique_ptr<LogWatch>> watches_;  // by worker
  std::vector<std::unique_ptr<LogBlocks>> blocks_;  // by worker

  std::atomic<size_t> replay_readers_{0};
  Counter appended_;
  Counter duplicates_;

  mutable Mutex mutex_;
  std::vector<std::shared_ptr<Valve>> held_back_ ABSL_GUARDED_BY(mutex_);
  std::string trouble_ ABSL_GUARDED_BY(mutex_);

  std::unique_ptr<DurableLog> log_;
  // Made last of what is read by the committer, which ends first.
  std::unique_ptr<ReaderTable> readers_;
  std::unique_ptr<LogCommitter> committer_;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_LOGS_SERVED_LOG_H_
