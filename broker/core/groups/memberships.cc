#include "broker/core/groups/memberships.h"

#include <algorithm>
#include <utility>

namespace fifobus {

std::shared_ptr<Group> Memberships::Join(const Group::Key& key,
                                         const std::optional<AckRule>& rule) {
  std::erase_if(entries_, [&](const Entry& entry) {
    return !entry.joined && entry.group->UnackedOf(egress_->id()) == 0;
  });
  // Before the first message that could find no room.
  egress_->SetRoomListener(shared_from_this());
  std::shared_ptr<Group> group = table_.Join(key, rule, egress_);
  if (group == nullptr) return nullptr;
  for (Entry& entry : entries_) {
    if (entry.group != group) continue;
    entry.joined = true;
    return group;
  }
  entries_.push_back({group});
  return group;
}

void Memberships::Leave(const Group::Key& key) {
  for (Entry& entry : entries_) {
    if (!entry.joined || entry.group->key() != key) continue;
    entry.joined = false;
    table_.Leave(entry.group, egress_->id(),
                 GroupTable::Parting::kUnsubscribed);
  }
}

void Memberships::Acknowledge(const pb::Ack& ack) {
  for (const Entry& entry : entries_) {
    entry.group->Acknowledge(egress_->id(), ack.ack_ids(), ack.verdict());
  }
}

void Memberships::End() {
  for (const Entry& entry : std::exchange(entries_, {})) {
    table_.Leave(entry.group, egress_->id(), GroupTable::Parting::kDead);
  }
}

std::vector<std::string> Memberships::Patterns() const {
  std::vector<std::string> patterns;
  for (const Entry& entry : entries_) {
    if (entry.joined) patterns.push_back(entry.group->key().pattern);
  }
  return patterns;
}

void Memberships::OnRoom() {
  for (const Entry& entry : entries_) entry.group->OnRoom(egress_->id());
}

}  // namespace fifobus
