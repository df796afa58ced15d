#ifndef FIFOBUS_BROKER_CORE_DELIVERY_GAP_LEDGER_H_
#define FIFOBUS_BROKER_CORE_DELIVERY_GAP_LEDGER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"

namespace fifobus {

// Why a subscriber does not get a message. PROTOCOL.md says what each means.
enum class LossReason : uint8_t {
  kOverflow,
  kConflated,
  kExpired,
  kDisconnected,
};
inline constexpr size_t kLossReasons = 4;

// How many, by reason.
using LossCounts = std::array<uint64_t, kLossReasons>;

// Counts, by reason, messages that were lost at one point of a subscriber's
// stream until the subscriber is told. Bounded: after 64 topics of a reason
// only its total grows. Thread-compatible; owned by an EgressQueue.
class GapLedger {
 public:
  static constexpr size_t kTopicsMax = 64;

  // `topic` may be empty: not known.
  void Add(LossReason reason, std::string_view topic);
  void Add(const GapLedger& other);

  bool empty() const { return messages() == 0; }
  uint64_t messages() const;

  // One Gap frame, prefix included, for each reason.
  std::string Frames() const;
  // {"gap":{"reason":"overflow","messages":3}} and a newline for each reason.
  std::string JsonLines() const;

 private:
  struct Losses {
    uint64_t messages = 0;
    absl::flat_hash_map<std::string, uint64_t> by_topic;

    void Add(std::string_view topic, uint64_t count);
  };

  std::array<Losses, kLossReasons> by_reason_;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_DELIVERY_GAP_LEDGER_H_
