#ifndef FIFOBUS_BROKER_CORE_DELIVERY_ID_POOL_H_
#define FIFOBUS_BROKER_CORE_DELIVERY_ID_POOL_H_

#include <cstdint>
#include <vector>

#include "broker/base/mutex.h"
#include "broker/state/shared_state.pb.h"

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

  // What an upgrade takes over: a number that was not given back is not handed
  // out again.
  pb::state::IdPool Export() const {
    pb::state::IdPool state;
    MutexLock lock(mutex_);
    state.set_next(next_);
    for (const uint32_t id : free_) state.add_free(id);
    return state;
  }
  void Restore(const pb::state::IdPool& state) {
    MutexLock lock(mutex_);
    next_ = state.next();
    free_.assign(state.free().begin(), state.free().end());
  }

 private:
  mutable Mutex mutex_;
  uint32_t next_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<uint32_t> free_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_DELIVERY_ID_POOL_H_
