#ifndef FIFOBUS_BROKER_BASE_MUTEX_H_
#define FIFOBUS_BROKER_BASE_MUTEX_H_

#include <mutex>

#include "absl/base/thread_annotations.h"

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

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_BASE_MUTEX_H_
