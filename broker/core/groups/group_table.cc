#include "broker/core/groups/group_table.h"

#include <utility>

#include "broker/base/log.h"

namespace fifobus {

GroupTable::GroupTable(const BrokerOptions& options, SubscriptionTable& table,
                       IdPool& egress_ids, Counters& counters, GroupHost& host)
    : options_(options),
      table_(table),
      egress_ids_(egress_ids),
      counters_(counters),
      host_(host) {}

std::shared_ptr<Group> GroupTable::Join(const Group::Key& key,
                                        const std::optional<AckRule>& rule,
                                        const std::shared_ptr<Egress>& member) {
  MutexLock lock(mutex_);
  const auto [at, made] = entries_.try_emplace(key);
  Entry& entry = at->second;
  if (made) {
    entry.group = Group::Make(key, rule, egress_ids_.Acquire(),
                              {options_, counters_, host_, ack_ids_});
    entry.group->egress()->SetPolicy(table_.snapshot()->rules().PolicyOf(
        key.pattern, UsualPolicy(options_)));
  } else if (entry.group->rule() != rule) {
    return nullptr;
  }
  ++entry.joins;
  entry.lingers = false;
  entry.group->Join(member);
  if (made) table_.Add(key.pattern, entry.group->egress());
  return entry.group;
}

void GroupTable::Leave(const std::shared_ptr<Group>& group, uint32_t member,
                       Parting parting) {
  if (parting == Parting::kDead) {
    group->LeaveDead(member);
  } else {
    group->Leave(member);
  }
  uint64_t joins = 0;
  {
    MutexLock lock(mutex_);
    const auto at = Find(*group);
    if (at == entries_.end() || group->member_count() > 0) return;
    // A member that unsubscribed before may end its session only now.
    if (std::exchange(at->second.lingers, true)) return;
    joins = at->second.joins;
    if (!group->rule()) Erase(at);
  }
  if (group->rule()) {
    Linger(group, joins);
  } else {
    End(*group);
  }
}

void GroupTable::EndAll() {
  std::vector<std::shared_ptr<Group>> ended;
  {
    MutexLock lock(mutex_);
    while (!entries_.empty()) {
      ended.push_back(entries_.begin()->second.group);
      Erase(entries_.begin());
    }
  }
  for (const std::shared_ptr<Group>& group : ended) {
    group->OnBrokerStops();
    End(*group);
  }
}

size_t GroupTable::DrainableBytes() const {
  MutexLock lock(mutex_);
  size_t bytes = 0;
  for (const auto& [key, entry] : entries_) {
    if (entry.group->rule()) continue;
    bytes += entry.group->egress()->state().queued_bytes;
  }
  return bytes;
}

void GroupTable::AppendStats(pb::StatsReply& reply) const {
  MutexLock lock(mutex_);
  for (const auto& [key, entry] : entries_) entry.group->AppendStats(reply);
}

GroupTable::Entries::iterator GroupTable::Find(const Group& group) {
  const auto at = entries_.find(group.key());
  if (at == entries_.end() || at->second.group.get() != &group) {
    return entries_.end();
  }
  return at;
}

void GroupTable::Erase(Entries::iterator at) {
  table_.Remove(at->first.pattern, at->second.group->egress()->id());
  entries_.erase(at);
}

void GroupTable::Linger(const std::shared_ptr<Group>& group, uint64_t joins) {
  group->OnDeserted();
  LogInfo("group without members",
          {{"group", group->key().name},
           {"pattern", group->key().pattern},
           {"linger", absl::FormatDuration(options_.group_linger)}});
  host_.RunAfter(options_.group_linger,
                 [this, joins, weak = std::weak_ptr(group)] {
                   const std::shared_ptr<Group> lingering = weak.lock();
                   if (lingering) EndDeserted(lingering, joins);
                 });
}

void GroupTable::EndDeserted(const std::shared_ptr<Group>& group,
                             uint64_t joins) {
  {
    MutexLock lock(mutex_);
    const auto at = Find(*group);
    if (at == entries_.end() || at->second.joins != joins ||
        group->member_count() > 0) {
      return;
    }
    Erase(at);
  }
  End(*group);
}

void GroupTable::End(Group& group) {
  const uint64_t abandoned = group.Abandon();
  egress_ids_.GiveBack(group.egress()->id());
  counters_.messages_abandoned.Add(abandoned);
  if (abandoned > 0) {
    LogWarning("group ended with messages", {{"group", group.key().name},
                                             {"pattern", group.key().pattern},
                                             {"abandoned", abandoned}});
  }
}

}  // namespace fifobus
