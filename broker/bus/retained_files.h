#ifndef FIFOBUS_BROKER_BUS_RETAINED_FILES_H_
#define FIFOBUS_BROKER_BUS_RETAINED_FILES_H_

#include <cstdint>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "broker/base/mutex.h"
#include "broker/base/sparse_log.h"
#include "broker/core/retained/retained_store.h"
#include "broker/counters.h"
#include "broker/io/bus_directory.h"
#include "broker/io/event_loop.h"
#include "broker/options.h"

namespace fifobus {

// Keeps the T.last files of a bus in step with the store. It reads the files
// into the store at the start, and writes them behind it on a thread of its
// own, so that no worker waits for a file system. The first change of a topic
// is written at once, and further ones every retained_write_interval, with the
// newest value. The same thread has the store forget values when they expire,
// with one timer for the first of them. Without changes, and without values
// that can expire, the thread sleeps and has no timer.
//
// A killed broker loses at most what it had not written yet; an orderly end
// writes everything.
//
// Thread-safe as an observer; the rest is for the thread that owns it. Lock
// order: the store's lock, then this one's, which is a leaf.
class RetainedFiles : public RetainedObserver {
 public:
  enum class Begin {
    kWithFiles,
    kWithState,  // of an upgrade: Restore is to follow
  };
  // Reads all topics/**/*.last into the store, and then observes the store.
  // Removes files that have expired, and refuses those that are no messages.
  // All arguments must outlive this.
  static absl::StatusOr<std::unique_ptr<RetainedFiles>> Open(
      const BusDirectory& bus, RetainedStore& store,
      const BrokerOptions& options, Counters& counters,
      Begin begin = Begin::kWithFiles);

  // Writes what is left to be written.
  ~RetainedFiles() override;

  void OnRetained(const std::string& topic,
                  const RetainedValue& newest) override;
  void OnForgotten(const std::string& topic) override;

  // From when this returns until Release nothing is written, nor forgotten
  // because it has expired.
  void Hold();
  void Release();

  // What an upgrade takes over: the store, and what is still to be written, which
  // the next broker writes. REQUIRES: it is held.
  using ExportVisitor = RetainedStore::Transaction::ExportVisitor;
  void Export(StateChunks& chunks, ExportVisitor visit);
  void Restore(const pb::state::RetainedTopic& state,
               const StateChunks& chunks);

 private:
  // Between two attempts, doubled each time: a full disk stays so for a while.
  // Not tuned.
  static constexpr absl::Duration kRetryDelayMin = absl::Milliseconds(500);
  static constexpr absl::Duration kRetryDelayMax = absl::Seconds(30);

  RetainedFiles(const BusDirectory& bus, RetainedStore& store,
                const BrokerOptions& options, Counters& counters,
                std::unique_ptr<EventLoop> loop);

  // `folder` is below topics/, with a slash at its end unless it is topics/.
  void RestoreFolder(const std::string& folder);
  void Restore(const std::string& topic);
  void Refuse(const std::string& path, std::string_view reason);

  void Note(const std::string& topic, RetainedValue value);
  void NoteExpiry(uint64_t expiry_unix_nanos);
  // On the own thread: writes now, or when the interval is over.
  void Schedule();
  void WriteChanges();
  // Makes the topic's file what `value` says. If that fails there is no file.
  absl::Status Write(const std::string& topic, const RetainedValue& value);
  void RetryLater();
  void Retry();
  // The topic's file is as it should be.
  void Forget(const std::string& topic);
  // What is to be done at the end.
  void Finish();
  // On the own thread: forgets what has expired, and comes back for the rest.
  void ForgetExpired();
  void ScheduleExpiry();
  void CountError(const std::string& topic, const absl::Status& status);

  const BusDirectory& bus_;
  RetainedStore& store_;
  const BrokerOptions& options_;
  Counters& counters_;
  const std::unique_ptr<EventLoop> loop_;
  std::thread thread_;
  std::optional<std::promise<void>> release_;  // while it is held

  // Of the own thread.
  absl::Duration last_written_ = -absl::InfiniteDuration();
  // What could not be written, newest values only; without a chunk where the
  // file could not be removed.
  std::map<std::string, RetainedValue> failed_;
  bool retrying_ = false;
  absl::Duration retry_delay_ = kRetryDelayMin;
  SparseLog errors_;
  std::optional<EventLoop::TimerId> expiry_timer_;

  Mutex mutex_;
  // The newest values since they were last written, without a chunk where the
  // topic was forgotten. While it is not empty a turn of the thread is asked
  // for.
  std::map<std::string, RetainedValue> changes_ ABSL_GUARDED_BY(mutex_);
  // What ForgetExpired is to be called for; UINT64_MAX: nothing.
  uint64_t next_expiry_ ABSL_GUARDED_BY(mutex_) = UINT64_MAX;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_BUS_RETAINED_FILES_H_
