#ifndef FIFOBUS_BROKER_CORE_GROUPS_GROUP_TABLE_H_
#define FIFOBUS_BROKER_CORE_GROUPS_GROUP_TABLE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "broker/base/mutex.h"
#include "broker/core/delivery/id_pool.h"
#include "broker/core/groups/dealt_runs.h"
#include "broker/core/groups/group.h"
#include "broker/core/groups/group_source.h"
#include "broker/core/routing/subscription_table.h"
#include "broker/counters.h"
#include "broker/options.h"
#include "broker/seam/state_chunks.h"
#include "broker/seam/state_ingresses.h"
#include "broker/state/group_state.pb.h"
#include "proto/frame.pb.h"

namespace fifobus {

// The queue groups of a broker, by pattern and name: makes one when its first
// member joins and ends it when its last has gone. One that acknowledges
// lingers before it ends, so that its members can be restarted; what a group
// still has when it ends is counted as abandoned. One over a log ends with its
// last member, and what it has is in the log.
//
// Thread-safe. The lock is the outermost: a group's and the subscription
// table's are taken while it is held. So a member that is told that it has
// joined finds the group in the table, even if another member's thread has made
// it.
class GroupTable {
 public:
  // All must live as long as this, and this as long as tasks of `host` run.
  GroupTable(const BrokerOptions& options, SubscriptionTable& table,
             IdPool& egress_ids, Counters& counters, GroupHost& host);
  ~GroupTable() { EndAll(); }

  // Null: the group acknowledges in another way. Joining twice changes nothing.
  // Messages are dealt to the member from now on; Group::OnJoined is to follow.
  std::shared_ptr<Group> Join(const Group::Key& key,
                              const std::optional<AckRule>& rule,
                              const std::shared_ptr<Egress>& member);

  // The same for a group over a log, whose source `make_source` makes for the
  // first member.
  using MakeSource = std::function<std::shared_ptr<GroupSource>(GroupHost&)>;
  std::shared_ptr<Group> JoinLogged(const Group::Key& key, const AckRule& rule,
                                    const MakeSource& make_source,
                                    const std::shared_ptr<Egress>& member);

  enum class Parting { kUnsubscribed, kDead };
  // See Group::Leave and LeaveDead.
  void Leave(const std::shared_ptr<Group>& group, uint32_t member,
             Parting parting);

  // Ends all groups, with or without members: the broker stops.
  void EndAll();

  // The bytes that wait in groups with members. Groups that acknowledge do not
  // count: what they hold may wait for an answer that nobody reads any more.
  size_t DrainableBytes() const;

  // What an upgrade takes over: the table, and visit(pb::state::GroupEntry) for
  // each group.
  pb::state::GroupTable Export() const;
  template <typename Visitor>
  void ExportGroups(StateChunks& chunks, const StateIngresses& ingresses,
                    const Visitor& visit) const {
    const MutexLock lock(mutex_);
    for (const auto& [key, entry] : entries_) {
      visit(ExportEntry(entry, chunks, ingresses));
    }
  }
  // REQUIRES: there are no groups. `source`: of a group over a log. The members
  // come through Rejoin, and Resume is to follow. For the rest see
  // EgressTransfer.
  void Restore(const pb::state::GroupTable& state);
  void RestoreGroup(const pb::state::GroupEntry& state,
                    std::shared_ptr<GroupSource> source,
                    const StateChunks& chunks, StateIngresses& ingresses);
  // A member of a restored group takes its place in it. Null: the group is gone.
  std::shared_ptr<Group> Rejoin(const Group::Key& key,
                                const std::shared_ptr<Egress>& member);
  // A group that has ended, for what it dealt to this member.
  std::shared_ptr<Group> RestoreEnded(const Group::Key& key, uint32_t member,
                                      DealtRuns dealt);
  // All groups go on. Members that are absent still have gone for good.
  void Resume();

  // Null: there is none now.
  std::shared_ptr<Group> Find(const Group::Key& key) const;

  // Of groups that are over no log.
  void AppendStats(pb::StatsReply& reply) const;
  // Of the group that is this reader of the log, if there is one now.
  void AddToStats(std::string_view log, pb::StatsReply::Reader& reader) const;

 private:
  struct Entry {
    std::shared_ptr<Group> group;
    uint64_t joins = 0;
    bool lingers = false;  // since the last of them
    absl::Duration linger_until = {};
  };
  using Entries = std::map<Group::Key, Entry>;

  static pb::state::GroupEntry ExportEntry(const Entry& entry,
                                           StateChunks& chunks,
                                           const StateIngresses& ingresses);
  Group::Context GroupContext() {
    return {options_, counters_, host_, ack_ids_};
  }
  static void Enter(Entry& entry, const std::shared_ptr<Egress>& member);
  // The entry of exactly this group; the end if it has ended.
  Entries::iterator Find(const Group& group)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Erase(Entries::iterator at) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Linger(const std::shared_ptr<Group>& group, uint64_t joins);
  // Ends it then, unless a member has joined meanwhile.
  void EndAfter(absl::Duration delay, const std::shared_ptr<Group>& group,
                uint64_t joins);
  // Unless a member has joined meanwhile.
  void EndDeserted(const std::shared_ptr<Group>& group, uint64_t joins);
  // What is left to do for a group without an entry, without the lock.
  void End(Group& group);

  const BrokerOptions& options_;
  SubscriptionTable& table_;
  IdPool& egress_ids_;
  Counters& counters_;
  GroupHost& host_;
  std::atomic<uint64_t> ack_ids_{0};

  mutable Mutex mutex_;
  Entries entries_ ABSL_GUARDED_BY(mutex_);
  // Of groups over logs that have ended: a message that kills each worker that
  // gets it becomes a dead letter all the same. One entry for each durable
  // reader at most.
  std::map<Group::Key, DeliveryCounts> ended_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_GROUPS_GROUP_TABLE_H_
