#ifndef FIFOBUS_BROKER_CORE_DELIVERY_ID_POOL_H_
#define FIFOBUS_BROKER_CORE_DELIVERY_ID_POOL_H_

#include <cstdint>
#include <vector>

#include "broker/base/mutex.h"

namespace fifobus {

// Hands out small numbers and takes them back, so that they stay dense enough
// to index vectors. Thread-safe.
class IdPool {
 public:
  uint32_t Acquire() {
    MutexLock lock(mutex_);
    if (free_.empty()) return next_++;
    const uint32_t id = free_.back();
    free_.pop_back();
    return id;
  }

  void GiveBack(uint32_t id) {
    MutexLock lock(mutex_);
    free_.push_back(id);
  }

 private:
  Mutex mutex_;
  uint32_t next_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<uint32_t> free_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_DELIVERY_ID_POOL_H_
