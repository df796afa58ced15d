#include "broker/core/groups/group_table.h"

#include <algorithm>
#include <utility>

#include "broker/base/log.h"
#include "broker/core/groups/group_transfer.h"

namespace fifobus {
namespace {

// What an acknowledging group has is kept for members that come back, unless a
// log keeps it.
bool Lingers(const Group& group) { return group.rule() && !group.source(); }

}  // namespace

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
    entry.group = Group::Make(key, rule, egress_ids_.Acquire(), GroupContext());
    entry.group->egress()->SetPolicy(table_.snapshot()->rules().PolicyOf(
        key.pattern, UsualPolicy(options_)));
  } else if (entry.group->rule() != rule) {
    return nullptr;
  }
  Enter(entry, member);
  if (made) table_.Add(key.pattern, entry.group->egress());
  return entry.group;
}

std::shared_ptr<Group> GroupTable::JoinLogged(
    const Group::Key& key, const AckRule& rule, const MakeSource& make_source,
    const std::shared_ptr<Egress>& member) {
  MutexLock lock(mutex_);
  const auto [at, made] = entries_.try_emplace(key);
  Entry& entry = at->second;
  if (made) {
    auto earlier = ended_.extract(key);
    entry.group = Group::MakeLogged(
        key, rule, egress_ids_.Acquire(), GroupContext(), make_source(host_),
        earlier.empty() ? DeliveryCounts() : std::move(earlier.mapped()));
  } else if (entry.group->rule() != rule) {
    return nullptr;
  }
  Enter(entry, member);
  if (made) entry.group->source()->Begin(entry.group->egress());
  return entry.group;
}

void GroupTable::Enter(Entry& entry, const std::shared_ptr<Egress>& member) {
  ++entry.joins;
  entry.lingers = false;
  entry.group->Join(member);
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
    if (group->source()) {
      // Members that have unsubscribed may still answer: then the last of them
      // is still to leave.
      if (group->unacked() > 0) return;
    } else if (std::exchange(at->second.lingers, true)) {
      // A member that unsubscribed before may end its session only now.
      return;
    }
    joins = at->second.joins;
    at->second.linger_until = host_.Now() + options_.group_linger;
    if (!Lingers(*group)) Erase(at);
  }
  if (Lingers(*group)) {
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
  for (const auto& [key, entry] : entries_) {
    if (!entry.group->source()) entry.group->AppendStats(reply);
  }
}

void GroupTable::AddToStats(std::string_view log,
                            pb::StatsReply::Reader& reader) const {
  MutexLock lock(mutex_);
  for (const auto& [key, entry] : entries_) {
    if (key.log != log || key.durable != reader.name()) continue;
    entry.group->AddToStats(reader);
    return;
  }
}

pb::state::GroupTable GroupTable::Export() const {
  pb::state::GroupTable state;
  state.set_last_ack_id(ack_ids_.load());
  const MutexLock lock(mutex_);
  for (const auto& [key, counts] : ended_) {
    pb::state::GroupTable::Ended& ended = *state.add_ended();
    *ended.mutable_key() = GroupTransfer::ExportKey(key);
    *ended.mutable_counts() = ExportCounts(counts);
  }
  return state;
}

pb::state::GroupEntry GroupTable::ExportEntry(const Entry& entry,
                                              StateChunks& chunks,
                                              const StateIngresses& ingresses) {
  pb::state::GroupEntry state;
  *state.mutable_group() =
      GroupTransfer::Export(*entry.group, chunks, ingresses);
  state.set_joins(entry.joins);
  state.set_lingers(entry.lingers);
  state.set_linger_until_nanos(absl::ToInt64Nanoseconds(entry.linger_until));
  return state;
}

void GroupTable::Restore(const pb::state::GroupTable& state) {
  ack_ids_.store(state.last_ack_id());
  const MutexLock lock(mutex_);
  for (const pb::state::GroupTable::Ended& ended : state.ended()) {
    ended_[GroupTransfer::RestoreKey(ended.key())] =
        RestoreCounts(ended.counts());
  }
}

void GroupTable::RestoreGroup(const pb::state::GroupEntry& state,
                              std::shared_ptr<GroupSource> source,
                              const StateChunks& chunks,
                              StateIngresses& ingresses) {
  std::shared_ptr<Group> group = GroupTransfer::Restore(
      state.group(), GroupContext(), std::move(source), chunks, ingresses);
  const MutexLock lock(mutex_);
  if (!group->source()) table_.Add(group->key().pattern, group->egress());
  const Group::Key key = group->key();
  entries_[key] = {std::move(group), state.joins(), state.lingers(),
                   absl::Nanoseconds(state.linger_until_nanos())};
}

std::shared_ptr<Group> GroupTable::Rejoin(
    const Group::Key& key, const std::shared_ptr<Egress>& member) {
  std::shared_ptr<Group> group = Find(key);
  if (group) group->Join(member);
  return group;
}

std::shared_ptr<Group> GroupTable::RestoreEnded(const Group::Key& key,
                                                uint32_t member,
                                                DealtRuns dealt) {
  return GroupTransfer::RestoreEnded(key, GroupContext(), member,
                                     std::move(dealt));
}

void GroupTable::Resume() {
  std::vector<Entry> entries;
  {
    const MutexLock lock(mutex_);
    for (const auto& [key, entry] : entries_) entries.push_back(entry);
  }
  for (const Entry& entry : entries) {
    for (const uint32_t member : GroupTransfer::Absent(*entry.group)) {
      Leave(entry.group, member, Parting::kDead);
    }
    GroupTransfer::Resume(*entry.group);
    if (!entry.lingers) continue;
    EndAfter(std::max(entry.linger_until - host_.Now(), absl::ZeroDuration()),
             entry.group, entry.joins);
  }
}

std::shared_ptr<Group> GroupTable::Find(const Group::Key& key) const {
  const MutexLock lock(mutex_);
  const auto at = entries_.find(key);
  return at == entries_.end() ? nullptr : at->second.group;
}

GroupTable::Entries::iterator GroupTable::Find(const Group& group) {
  const auto at = entries_.find(group.key());
  if (at == entries_.end() || at->second.group.get() != &group) {
    return entries_.end();
  }
  return at;
}

void GroupTable::Erase(Entries::iterator at) {
  const Group& group = *at->second.group;
  if (group.source()) {
    DeliveryCounts counts = group.CountsByOffset();
    if (!counts.empty()) ended_[at->first] = std::move(counts);
  } else {
    table_.Remove(at->first.pattern, group.egress()->id());
  }
  entries_.erase(at);
}

void GroupTable::Linger(const std::shared_ptr<Group>& group, uint64_t joins) {
  group->OnDeserted();
  LogInfo("group without members",
          {{"group", group->key().name},
           {"pattern", group->key().pattern},
           {"linger", absl::FormatDuration(options_.group_linger)}});
  EndAfter(options_.group_linger, group, joins);
}

void GroupTable::EndAfter(absl::Duration delay,
                          const std::shared_ptr<Group>& group, uint64_t joins) {
  host_.RunAfter(delay, [this, joins, weak = std::weak_ptr(group)] {
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
  if (group.source()) {
    group.source()->End();
    (void)group.Abandon();
    egress_ids_.GiveBack(group.egress()->id());
    return;
  }
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
