#ifndef FIFOBUS_BROKER_CORE_LOGS_LOG_COMMITTER_H_
#define FIFOBUS_BROKER_CORE_LOGS_LOG_COMMITTER_H_

#include <atomic>
#include <thread>

#include "absl/time/time.h"
#include "broker/core/logs/durable_log.h"
#include "broker/options.h"

namespace fifobus {

// The thread that commits a log's batches. There is no linger timer: what is
// appended while a sync runs is the next batch. An idle log costs nothing, once
// its last batch is covered, unless retention has to look at its age.
//
// Thread-safe: it has nothing to call.
class LogCommitter {
 public:
  // The log must outlive it.
  LogCommitter(DurableLog& log, const BrokerOptions& options);
  // Commits and covers what was appended, as far as the disk lets it.
  ~LogCommitter();
  LogCommitter(const LogCommitter&) = delete;
  LogCommitter& operator=(const LogCommitter&) = delete;

 private:
  void Run();
  void CommitOnce();
  absl::Duration Timeout() const;
  bool retains() const;

  DurableLog& log_;
  const BrokerOptions& options_;
  std::atomic<bool> ending_{false};

  // Of the thread.
  LogOutcome outcome_ = LogOutcome::kDone;
  absl::Duration synced_at_;
  absl::Duration worked_at_;
  absl::Duration retained_at_;

  std::thread thread_;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_LOGS_LOG_COMMITTER_H_
