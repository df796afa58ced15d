#ifndef FIFOBUS_TESTS_SUPPORT_POSTED_TASKS_H_
#define FIFOBUS_TESTS_SUPPORT_POSTED_TASKS_H_

#include <deque>
#include <functional>

#include "absl/time/time.h"
#include "broker/base/mutex.h"
#include "gtest/gtest.h"

namespace fifobus {

// A worker's loop for tests: other threads post, and the test's thread runs.
// Thread-safe.
class PostedTasks {
 public:
  void Post(std::function<void()> task) {
    {
      const MutexLock lock(mutex_);
      tasks_.push_back(std::move(task));
    }
    posted_.NotifyAll();
  }

  // Runs what was posted, and what is posted, until `done` holds.
  template <typename Predicate>
  void RunUntil(const Predicate& done) {
    while (!done()) {
      std::function<void()> task;
      {
        const MutexLock lock(mutex_);
        posted_.AwaitFor(mutex_, absl::Seconds(60),
                         [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
                           return !tasks_.empty();
                         });
        ASSERT_FALSE(tasks_.empty()) << "nothing came";
        task = std::move(tasks_.front());
        tasks_.pop_front();
      }
      task();
    }
  }

  // Runs what was posted so far. Returns whether there was any.
  bool Run() {
    std::deque<std::function<void()>> tasks;
    {
      const MutexLock lock(mutex_);
      tasks.swap(tasks_);
    }
    for (const std::function<void()>& task : tasks) task();
    return !tasks.empty();
  }

  // Runs until nothing is posted.
  void RunAll() {
    RunUntil([&] {
      const MutexLock lock(mutex_);
      return tasks_.empty();
    });
  }

 private:
  Mutex mutex_;
  Condition posted_;
  std::deque<std::function<void()>> tasks_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace fifobus

#endif  // FIFOBUS_TESTS_SUPPORT_POSTED_TASKS_H_
