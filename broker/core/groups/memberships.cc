#include "broker/core/groups/memberships.h"

#include <algorithm>
#include <utility>

#include "broker/core/groups/dealt_runs.h"
#include "broker/core/groups/group_transfer.h"

namespace fifobus {

std::shared_ptr<Group> Memberships::Join(const Group::Key& key,
                                         const std::optional<AckRule>& rule) {
  Prepare();
  return Enter(table_.Join(key, rule, egress_), nullptr);
}

std::shared_ptr<Group> Memberships::JoinLogged(
    const Group::Key& key, const AckRule& rule,
    const GroupTable::MakeSource& make_source, std::shared_ptr<void> use) {
  Prepare();
  return Enter(table_.JoinLogged(key, rule, make_source, egress_),
               std::move(use));
}

void Memberships::Prepare() {
  thread_rule_.Check();
  const uint64_t read_position = egress_->ReadPosition();
  std::erase_if(entries_, [&](const Entry& entry) {
    return !entry.joined && !entry.group->source() &&
           entry.group->UnackedOf(egress_->id()) == 0 &&
           !entry.group->HoldsUnread(egress_->id(), read_position);
  });
  // Before the first message that could find no room.
  rooms_->Add(*this);
}

std::shared_ptr<Group> Memberships::Enter(std::shared_ptr<Group> group,
                                          std::shared_ptr<void> use) {
  if (group == nullptr) return nullptr;
  for (Entry& entry : entries_) {
    if (entry.group != group) continue;
    entry.joined = true;
    entry.use = std::move(use);
    return group;
  }
  entries_.push_back({group, std::move(use)});
  return group;
}

void Memberships::ForgetAnswered() {
  std::erase_if(entries_, [&](const Entry& entry) {
    if (entry.joined || !entry.group->source() ||
        entry.group->UnackedOf(egress_->id()) > 0) {
      return false;
    }
    table_.Leave(entry.group, egress_->id(), GroupTable::Parting::kDead);
    return true;
  });
}

void Memberships::Leave(std::string_view pattern, std::string_view name) {
  thread_rule_.Check();
  for (Entry& entry : entries_) {
    const Group::Key& key = entry.group->key();
    if (!entry.joined || key.pattern != pattern || key.name != name) continue;
    entry.joined = false;
    table_.Leave(entry.group, egress_->id(),
                 GroupTable::Parting::kUnsubscribed);
  }
  ForgetAnswered();
}

void Memberships::Acknowledge(const pb::Ack& ack) {
  thread_rule_.Check();
  for (const Entry& entry : entries_) {
    entry.group->Acknowledge(egress_->id(), ack.ack_ids(), ack.verdict());
  }
  ForgetAnswered();
}

void Memberships::End(uint64_t taken_along) {
  thread_rule_.Check();
  rooms_->Remove(*this);
  const uint64_t read_position = egress_->ReadPosition();
  for (const Entry& entry : std::exchange(entries_, {})) {
    const uint64_t its =
        entry.group->rule() ? 0 : std::exchange(taken_along, 0);
    entry.group->LoseUnread(egress_->id(), read_position, its);
    table_.Leave(entry.group, egress_->id(), GroupTable::Parting::kDead);
  }
}

std::vector<std::string> Memberships::Patterns() const {
  thread_rule_.Check();
  std::vector<std::string> patterns;
  for (const Entry& entry : entries_) {
    if (entry.joined) patterns.push_back(entry.group->key().pattern);
  }
  return patterns;
}

// Not asserted: no worker runs.
pb::state::Memberships Memberships::Export() const {
  pb::state::Memberships state;
  for (const Entry& entry : entries_) {
    pb::state::Memberships::Entry one;
    *one.mutable_key() = GroupTransfer::ExportKey(entry.group->key());
    one.set_joined(entry.joined);
    one.set_uses_reader(entry.use.use_count() > 0);
    if (table_.Find(entry.group->key()) != entry.group) {
      *one.mutable_ended() =
          GroupTransfer::DealtTo(*entry.group, egress_->id()).Export();
      if (one.ended().runs().empty()) continue;  // nothing comes of it
    }
    *state.add_entries() = std::move(one);
  }
  return state;
}

void Memberships::Restore(const pb::state::Memberships& state,
                          const UseReader& use_reader) {
  thread_rule_.Check();
  rooms_->Add(*this);
  for (const pb::state::Memberships::Entry& one : state.entries()) {
    const Group::Key key = GroupTransfer::RestoreKey(one.key());
    Entry entry;
    if (one.has_ended()) {
      entry.group = table_.RestoreEnded(key, egress_->id(),
                                        DealtRuns::Restore(one.ended()));
    } else if (one.joined()) {
      entry.group = table_.Rejoin(key, egress_);
    } else {
      entry.group = table_.Find(key);
    }
    if (!entry.group) continue;
    if (one.uses_reader()) entry.use = use_reader(key);
    entry.joined = one.joined();
    entries_.push_back(std::move(entry));
  }
}

void Memberships::OnRoom() {
  thread_rule_.Check();
  for (const Entry& entry : entries_) entry.group->OnRoom(egress_->id());
}

}  // namespace fifobus
