#ifndef FIFOBUS_BROKER_CORE_GAP_LEDGER_H_
#define FIFOBUS_BROKER_CORE_GAP_LEDGER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"

namespace fifobus {

// Counts messages that were dropped at one point of a subscriber's stream until
// the subscriber is told. Bounded: after 64 topics only the total grows.
// Thread-compatible; owned by an EgressQueue.
class GapLedger {
 public:
  static constexpr size_t kTopicsMax = 64;

  void Add(std::string_view topic);

  bool empty() const { return messages_ == 0; }
  uint64_t messages() const { return messages_; }

  // The Gap frame, prefix included, for what was counted; counts anew.
  // REQUIRES: !empty().
  std::string TakeFrame();

 private:
  uint64_t messages_ = 0;
  absl::flat_hash_map<std::string, uint64_t> by_topic_;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_GAP_LEDGER_H_
