#ifndef FIFOBUS_BROKER_CORE_LOGS_LOG_WATCH_H_
#define FIFOBUS_BROKER_CORE_LOGS_LOG_WATCH_H_

#include <atomic>
#include <functional>
#include <vector>

#include "absl/time/time.h"
#include "broker/base/thread_rule.h"

namespace fifobus {

// Waits for a log to go on. Worker-affine.
class LogWaiter {
 public:
  virtual ~LogWaiter() = default;
  // More is written, or on disk, or the log's outcome has changed. May come
  // without need, and once for many commits.
  virtual void OnLogProgress() = 0;
};

// How one worker hears that one log has gone on: the log's committer wakes it,
// and it tells its waiters on the worker's thread.
//
// Worker-affine, asserted, but for Wake, which any thread may call.
class LogWatch {
 public:
  // Runs a task on the worker's thread, after the delay.
  using Post = std::function<void(absl::Duration, std::function<void()>)>;

  // Lives until the worker has run all that was posted.
  explicit LogWatch(Post post) : post_(std::move(post)) {}
  LogWatch(const LogWatch&) = delete;
  LogWatch& operator=(const LogWatch&) = delete;

  // Adding one twice changes nothing. A waiter may remove itself, and others,
  // while it is told.
  void Add(LogWaiter& waiter);
  void Remove(LogWaiter& waiter);

  // Has the waiters told. Many calls before that are one. Costs one load while
  // nobody waits.
  void Wake();
  // The same, later.
  void WakeAfter(absl::Duration delay);

 private:
  void TellWaiters();

  const Post post_;
  std::atomic<bool> waited_for_{false};
  std::atomic<bool> woken_{false};

  const ThreadRule thread_rule_;
  std::vector<LogWaiter*> waiters_;  // null: removed while the others are told
  bool telling_ = false;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_LOGS_LOG_WATCH_H_
