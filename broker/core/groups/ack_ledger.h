#ifndef FIFOBUS_BROKER_CORE_GROUPS_ACK_LEDGER_H_
#define FIFOBUS_BROKER_CORE_GROUPS_ACK_LEDGER_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "broker/seam/chunk.h"
#include "broker/state/group_state.pb.h"

namespace fifobus {

// How the members of a group acknowledge.
struct AckRule {
  uint32_t unacked_max = 1;  // messages that one member may hold
  absl::Duration timeout = absl::Seconds(30);
  uint32_t deliveries_max = 5;

  bool operator==(const AckRule&) const = default;

  pb::state::AckRule Export() const;
  static AckRule Restore(const pb::state::AckRule& state);
};

// Where in a log a message lies, and when it was stored.
struct StoredPlace {
  uint64_t offset = 0;  // 0: in none
  uint64_t stored_time_unix_nanos = 0;
};

// A message that a group keeps until it is acknowledged, in a copy of its own.
// Thread-compatible.
class KeptMessage {
 public:
  // `frame` is a whole Message frame.
  explicit KeptMessage(std::string_view frame, StoredPlace place = {});

  std::string_view frame() const;
  // What to write for the next delivery: a Delivery and the frame, in one
  // piece. Valid until the next call.
  std::string_view UnitFor(uint64_t ack_id);

  // That was written, to this member.
  void CountDelivery(uint32_t member);
  uint32_t deliveries() const { return deliveries_; }
  // Counts those that another ledger has seen.
  void AddDeliveries(uint32_t deliveries) { deliveries_ += deliveries; }
  uint64_t expiry_unix_nanos() const { return expiry_unix_nanos_; }
  // The member that it was delivered to last.
  uint32_t member() const { return member_; }
  uint64_t offset() const { return place_.offset; }

  pb::state::KeptMessage Export() const;
  static KeptMessage Restore(const pb::state::KeptMessage& state);

 private:
  ChunkRef chunk_;  // room for a Delivery, then the frame
  size_t frame_bytes_;
  StoredPlace place_;
  uint64_t expiry_unix_nanos_;
  uint32_t deliveries_ = 0;
  uint32_t member_ = 0;
};

// Deliveries of messages, by their offsets in a log.
using DeliveryCounts = std::map<uint64_t, uint32_t>;
pb::state::DeliveryCounts ExportCounts(const DeliveryCounts& counts);
DeliveryCounts RestoreCounts(const pb::state::DeliveryCounts& state);

// The messages of a group that its members have not answered yet, and those
// that are to be delivered again. Every message that is added leaves the ledger
// once: by VERDICT_DONE, as a dead letter, expired, or abandoned.
//
// Not here: which member gets a message. Thread-compatible; owned by a Group,
// under its lock.
class AckLedger {
 public:
  // `unacked_bytes_max`: as rule.unacked_max, in bytes, but for one message.
  AckLedger(const AckRule& rule, size_t unacked_bytes_max)
      : rule_(rule), unacked_bytes_max_(unacked_bytes_max) {}

  const AckRule& rule() const { return rule_; }

  // How many more messages the member may hold.
  size_t CapacityOf(uint32_t member) const;

  // The message was delivered to the member. REQUIRES: ack ids grow from call
  // to call, and `now` does not fall.
  void Add(uint64_t ack_id, uint32_t member, KeptMessage message,
           absl::Duration now);

  // Answers of a member. Nothing, for what it does not hold.
  void Done(uint32_t member, uint64_t ack_id);
  void Retry(uint32_t member, uint64_t ack_id);
  // It works on: the timeout begins anew. REQUIRES: as Add, of `now`.
  void Extend(uint32_t member, uint64_t ack_id, absl::Duration now);

  // Takes back what the member holds: it is dead.
  void ReclaimFrom(uint32_t member);
  // Takes back what has not been answered in time.
  void ReclaimOverdue(absl::Duration now);

  // What is to be delivered again, oldest first.
  bool has_waiting() const { return !waiting_.empty(); }
  KeptMessage& FirstWaiting() { return waiting_.front(); }
  KeptMessage PopWaiting();

  // The message was delivered to nobody: it has expired.
  void AddExpired(KeptMessage message) {
    expired_.push_back(std::move(message));
  }
  bool has_expired() const { return !expired_.empty(); }
  // Takes that, and what of those that wait has expired by now.
  std::vector<KeptMessage> PopExpired(uint64_t now_unix_nanos);

  // What was delivered too often since the last call.
  std::vector<KeptMessage> PopDead();

  // Offsets of what was done since the last call, of messages out of a log.
  std::vector<uint64_t> PopDone();

  // How often the messages out of a log were delivered that are in it now.
  DeliveryCounts CountsByOffset() const;

  size_t unacked() const { return unacked_.size(); }
  // The same of one member.
  size_t UnackedOf(uint32_t member) const;
  // REQUIRES: unacked() > 0.
  absl::Duration NextDeadline() const { return unacked_.front().deadline; }

  // Forgets all. Returns how many messages that were.
  uint64_t Abandon();

  pb::state::AckLedger Export() const;
  // REQUIRES: nothing was added.
  void Restore(const pb::state::AckLedger& state);

 private:
  struct Unacked {
    uint64_t ack_id;
    KeptMessage message;
    absl::Duration deadline;
  };
  using Unackeds = std::list<Unacked>;
  struct Held {
    size_t messages = 0;
    size_t bytes = 0;
  };

  // The message if the member holds it, else the end.
  Unackeds::iterator Find(uint32_t member, uint64_t ack_id);
  // No longer the member's.
  KeptMessage Remove(Unackeds::iterator at);
  // It is the member's that it was delivered to last.
  void Hold(uint64_t ack_id, KeptMessage message, absl::Duration deadline);
  // Those are to be delivered again, or are dead.
  void Return(std::vector<Unackeds::iterator> returned);

  const AckRule rule_;
  const size_t unacked_bytes_max_;
  // By deadline: the timeout is the same for all, so the one that was delivered
  // or extended last has the last.
  Unackeds unacked_;
  absl::flat_hash_map<uint64_t, Unackeds::iterator> by_ack_id_;
  absl::flat_hash_map<uint32_t, Held> held_;  // of members that hold something
  std::deque<KeptMessage> waiting_;
  std::vector<KeptMessage> dead_;
  std::vector<uint64_t> done_;  // offsets
  std::vector<KeptMessage> expired_;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_GROUPS_ACK_LEDGER_H_
