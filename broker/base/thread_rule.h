#ifndef FIFOBUS_BROKER_BASE_THREAD_RULE_H_
#define FIFOBUS_BROKER_BASE_THREAD_RULE_H_

#include <pthread.h>

#include <atomic>

#include "broker/base/check.h"

namespace fifobus {

// Asserts what "Worker-affine" says: that all calls come from one thread, that
// of the first. Costs a load and a comparison, so it is checked in release
// builds too. Thread-safe.
class ThreadRule {
 public:
  void Check() const {
    const pthread_t self = pthread_self();
    pthread_t owner = owner_.load(std::memory_order_relaxed);
    if (owner == self) [[likely]]
      return;
    // No thread has the number 0 (glibc: the address of its descriptor).
    const bool is_first =
        owner == 0 && owner_.compare_exchange_strong(owner, self);
    FIFOBUS_CHECK(is_first);
  }

 private:
  mutable std::atomic<pthread_t> owner_{0};
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_BASE_THREAD_RULE_H_
