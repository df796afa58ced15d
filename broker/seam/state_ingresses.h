#ifndef FIFOBUS_BROKER_SEAM_STATE_INGRESSES_H_
#define FIFOBUS_BROKER_SEAM_STATE_INGRESSES_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "broker/seam/feed.h"

namespace fifobus {

// The ingresses of a broker's state by number, so that a subscriber can say
// which it holds back. In an old broker all are added before the first export.
// In a new one they are restored in any order: what needs them waits for
// Settle.
//
// Thread-compatible.
class StateIngresses {
 public:
  // `number` is not 0, and the same in both brokers.
  void Add(uint64_t number, std::shared_ptr<Valve> valve) {
    numbers_[valve.get()] = number;
    valves_[number] = std::move(valve);
  }

  // 0: it was closed.
  uint64_t NumberOf(const Valve& valve) const {
    const auto found = numbers_.find(&valve);
    return found == numbers_.end() ? 0 : found->second;
  }
  // Null: there is none.
  std::shared_ptr<Valve> Find(uint64_t number) const {
    const auto found = valves_.find(number);
    return found == valves_.end() ? nullptr : found->second;
  }

  // Calls `task` in Settle.
  void Later(std::function<void()> task) { tasks_.push_back(std::move(task)); }
  // All have been added, and none has been read yet.
  void Settle() {
    for (const auto& task : std::exchange(tasks_, {})) task();
  }

 private:
  absl::flat_hash_map<const Valve*, uint64_t> numbers_;
  absl::flat_hash_map<uint64_t, std::shared_ptr<Valve>> valves_;
  std::vector<std::function<void()>> tasks_;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_SEAM_STATE_INGRESSES_H_
