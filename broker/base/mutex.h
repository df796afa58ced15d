#ifndef FIFOBUS_BROKER_BASE_MUTEX_H_
#define FIFOBUS_BROKER_BASE_MUTEX_H_

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"

namespace fifobus {

// A std::mutex that clang's thread-safety analysis understands. absl::Mutex
// would not do: its library is not built for ThreadSanitizer, which then reports
// races that are none.
//
// Mutexes are leaf locks, whose holder takes no other, unless their class says
// otherwise; DESIGN.md has the order. Thread-safe.
class ABSL_LOCKABLE Mutex {
 public:
  void Lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() { mutex_.lock(); }
  void Unlock() ABSL_UNLOCK_FUNCTION() { mutex_.unlock(); }
  // Tells the analysis what it cannot see. Checks nothing.
  void AssertHeld() const ABSL_ASSERT_EXCLUSIVE_LOCK() {}

 private:
  friend class Condition;
  std::mutex mutex_;
};

// Holds a Mutex for a scope. Thread-compatible: it belongs to its scope.
class ABSL_SCOPED_LOCKABLE MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) ABSL_EXCLUSIVE_LOCK_FUNCTION(mutex)
      : mutex_(mutex) {
    mutex_.Lock();
  }
  ~MutexLock() ABSL_UNLOCK_FUNCTION() { mutex_.Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

// Waits for something that a Mutex guards. Each function gives the mutex up
// while it waits, and has it again when it returns. Thread-safe.
class Condition {
 public:
  void NotifyAll() { changed_.notify_all(); }

  // Waits until `holds`, a function that is called with the mutex held.
  template <typename Predicate>
  void Await(Mutex& mutex, Predicate holds)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    std::unique_lock<std::mutex> lock(mutex.mutex_, std::adopt_lock);
    changed_.wait(lock, std::move(holds));
    lock.release();
  }

  // The same for at most so long, by the monotonic clock.
  template <typename Predicate>
  void AwaitFor(Mutex& mutex, absl::Duration patience, Predicate holds)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    std::unique_lock<std::mutex> lock(mutex.mutex_, std::adopt_lock);
    changed_.wait_for(lock, absl::ToChronoNanoseconds(patience),
                      std::move(holds));
    lock.release();
  }

 private:
  std::condition_variable changed_;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_BASE_MUTEX_H_
