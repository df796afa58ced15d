#ifndef FIFOBUS_BROKER_CORE_DELIVERY_GAP_LEDGER_H_
#define FIFOBUS_BROKER_CORE_DELIVERY_GAP_LEDGER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"

namespace fifobus {

// Declared here because their headers take long to compile.
namespace pb {
enum Gap_Reason : int;
namespace state {
class GapLedger;
}  // namespace state
}  // namespace pb

// Why a subscriber does not get a message. PROTOCOL.md tells what each means.
enum class LossReason : uint8_t {
  kOverflow,
  kConflated,
  kExpired,
  kDisconnected,
};
inline constexpr size_t kLossReasons = 4;

pb::Gap_Reason ReasonInFrame(LossReason reason);
// Nothing: the core has no such reason.
std::optional<LossReason> LossReasonOf(pb::Gap_Reason reason);

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

  // What this takes in memory, roughly.
  size_t memory_bytes() const { return sizeof(*this) + topics_bytes_; }

  // Gap frames, prefixes included: one for each reason, or several where their
  // topics do not fit one. No body is larger than `frame_bytes_max`, so far as
  // that takes a Gap of one topic.
  std::string Frames(size_t frame_bytes_max) const;
  // {"gap":{"reason":"overflow","messages":3}} and a newline for each reason.
  std::string JsonLines() const;

  // What an upgrade takes over, and a ledger of the same losses.
  pb::state::GapLedger Export() const;
  static GapLedger Restore(const pb::state::GapLedger& state);

 private:
  struct Losses {
    uint64_t messages = 0;
    absl::flat_hash_map<std::string, uint64_t> by_topic;
  };

  void Count(Losses& losses, std::string_view topic, uint64_t messages);

  std::array<Losses, kLossReasons> by_reason_;
  size_t topics_bytes_ = 0;
};

// What a subscriber is told behind the gap when it is ended for being slow.
std::string OverflowErrorFrame();

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_DELIVERY_GAP_LEDGER_H_
