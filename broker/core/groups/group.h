#ifndef FIFOBUS_BROKER_CORE_GROUPS_GROUP_H_
#define FIFOBUS_BROKER_CORE_GROUPS_GROUP_H_

#include <atomic>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"
#include "broker/base/mutex.h"
#include "broker/core/delivery/egress.h"
#include "broker/core/delivery/unit_cursor.h"
#include "broker/core/groups/ack_ledger.h"
#include "broker/core/groups/dealt_runs.h"
#include "broker/core/groups/group_host.h"
#include "broker/core/groups/group_members.h"
#include "broker/core/groups/group_source.h"
#include "broker/counters.h"
#include "broker/options.h"
#include "broker/seam/sink.h"
#include "proto/frame.pb.h"

namespace fifobus {

// A queue group: subscribers that share one pattern's messages. To the rest of
// the core it is one subscriber, an Egress with its queue, back-pressure, stall
// and gaps; this is that egress's sink, which deals what is written to it out
// to the egresses of the members.
//
// Members with room get runs of neighbouring messages in turn. While none has
// room, messages stay in the group's own queue: a member's queue never holds
// more of them than the rest of one that was begun. If the group acknowledges,
// each message is kept in a ledger until it is answered, and what comes back is
// dealt before anything new.
//
// A group over a log is not in the subscription table: its messages come from a
// GroupSource, which is told what became of each.
//
// Not here: which groups there are, and when one ends (GroupTable).
//
// Thread-safe. The lock `mutex_` lies between those of two egresses: the
// group's own, which is held while Write is called, and a member's, which
// OfferIfRoom takes. A thread that holds mutex_ never calls the group's own
// egress.
//
// Invariant of an acknowledging group: each message that was taken by Write is
// unanswered, or waits for another delivery, or was acknowledged, or is a dead
// letter, or was abandoned.
class Group : public Sink, public std::enable_shared_from_this<Group> {
 public:
  struct Key {
    std::string pattern;
    std::string name;
    // Of a group over a log: which, and which of its durable readers it is.
    std::string log = {};
    std::string durable = {};

    auto operator<=>(const Key&) const = default;
  };

  // What all groups of a broker share. All must live as long as any group.
  struct Context {
    const BrokerOptions& options;
    Counters& counters;
    GroupHost& host;
    std::atomic<uint64_t>& ack_ids;  // the last one given
  };

  // A group whose egress has this id. Without a rule it does not acknowledge.
  static std::shared_ptr<Group> Make(Key key,
                                     const std::optional<AckRule>& rule,
                                     uint32_t egress_id,
                                     const Context& context);
  // A group over a log, whose messages come from `source` alone. `earlier`: how
  // often the log's messages were delivered before.
  static std::shared_ptr<Group> MakeLogged(Key key, const AckRule& rule,
                                           uint32_t egress_id,
                                           const Context& context,
                                           std::shared_ptr<GroupSource> source,
                                           DeliveryCounts earlier);

  const Key& key() const { return key_; }
  // Null, unless it is over a log.
  const std::shared_ptr<GroupSource>& source() const { return source_; }
  const std::optional<AckRule>& rule() const { return rule_; }
  const std::shared_ptr<Egress>& egress() const { return egress_; }

  // The member is dealt messages from now on, and after OnJoined what waits.
  void Join(const std::shared_ptr<Egress>& member);
  void OnJoined();
  // Nobody is left: the queue keeps what comes, drops its oldest when it is
  // full, and pauses nobody.
  void OnDeserted();
  // It is dealt nothing more, and may still answer what it has.
  void Leave(uint32_t member);
  // The same, and what it has not answered goes to others: its session ends.
  void LeaveDead(uint32_t member);
  // Only without acks. The session of a member, or of one that was, ends:
  // counts what it was dealt and had not read, and for the group alone what it
  // says it has read and not handed to its program.
  void LoseUnread(uint32_t member, uint64_t read_position,
                  uint64_t taken_along);
  // Whether the first of these is any.
  bool HoldsUnread(uint32_t member, uint64_t read_position) const;
  // Members may still read what they were dealt: it is not lost.
  void OnBrokerStops();
  size_t member_count() const;
  // What a member has not answered, and what all have not.
  size_t UnackedOf(uint32_t member) const;
  size_t unacked() const;

  // A member's answers. Ids of messages that it does not hold are passed over.
  template <typename AckIds>
  void Acknowledge(uint32_t member, const AckIds& ids,
                   pb::Ack::Verdict verdict) {
    {
      MutexLock lock(mutex_);
      if (!ledger_) return;
      for (const uint64_t id : ids) AcknowledgeOne(member, id, verdict);
      BuryDead();
    }
    Deal();
  }

  // The member has room again.
  void OnRoom(uint32_t member);

  // Deals what waits, as far as there is room.
  void Deal();

  // Ends the group. Returns how many messages it still had.
  uint64_t Abandon();
  // Of a group over a log, before that: how often the messages were delivered
  // that are not settled.
  DeliveryCounts CountsByOffset() const;

  void AppendStats(pb::StatsReply& reply) const;
  // Of a group over a log: what it does with the reader's messages.
  void AddToStats(pb::StatsReply::Reader& reader) const;

  SinkResult Write(absl::Span<const Slice> slices,
                   const Staged* staged) override;
  void StartStallClock() override;
  // Not asked for: groups are not ended for being slow.
  void RequestEnd() override {}

 private:
  using Member = GroupMembers::Member;

  friend class GroupTransfer;

  Group(Key key, const std::optional<AckRule>& rule, const Context& context,
        std::shared_ptr<GroupSource> source, DeliveryCounts earlier);

  void MakeEgress(uint32_t id);

  void AcknowledgeOne(uint32_t member, uint64_t id, pb::Ack::Verdict verdict)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Both deal from the cursor's front until no member has room. They leave the
  // cursor at the first frame that was not taken.
  void DealRuns(UnitCursor& cursor) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void DealAcked(UnitCursor& cursor) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // How many of the frames one member gets in its turn.
  size_t ShareOf(const UnitCursor& cursor) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Each offers the member up to `share` frames and leaves the cursor behind
  // what was taken. OfferKept: messages, each behind a Delivery.
  void OfferRun(Member& member, UnitCursor& cursor, size_t share)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OfferKept(Member& member, UnitCursor& cursor, size_t share)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The unit's message, with what is known of its earlier deliveries.
  KeptMessage Keep(const MessageUnit& unit) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool HasExpiredInLog(const KeptMessage& message) const;
  void Expire(KeptMessage message) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Deliver(uint64_t ack_id, uint32_t member, KeptMessage message,
               absl::Duration now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CountRedelivery() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Delivers again what is to be.
  void DealWaiting() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whose turn it is for the message: another than before, if there is one.
  Member* NextForWaiting(const KeptMessage& message)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool MayHold(const Member& member) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  void StartAckClock() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnAckTimeout();
  // Publishes what was delivered too often.
  void BuryDead() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Key key_;
  const std::optional<AckRule> rule_;
  const Context context_;
  const std::shared_ptr<GroupSource> source_;
  std::shared_ptr<Egress> egress_;  // set once, by MakeEgress

  mutable Mutex mutex_;
  GroupMembers members_ ABSL_GUARDED_BY(mutex_);
  std::optional<AckLedger> ledger_
      ABSL_GUARDED_BY(mutex_);  // if it acknowledges
  // Of messages that the source has not brought again yet.
  DeliveryCounts earlier_ ABSL_GUARDED_BY(mutex_);
  bool clock_runs_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t redelivered_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t dead_lettered_ ABSL_GUARDED_BY(mutex_) = 0;
  // By member, of a group without acks, until its session ends.
  absl::flat_hash_map<uint32_t, DealtRuns> dealt_ ABSL_GUARDED_BY(mutex_);
  uint64_t taken_along_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_GROUPS_GROUP_H_
