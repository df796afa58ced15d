#include "broker/core/groups/group_members.h"

#include <algorithm>

namespace fifobus {

void GroupMembers::Join(const std::shared_ptr<Egress>& egress) {
  for (Member& member : members_) {
    if (member.id != egress->id()) continue;
    if (!member.egress) member = {egress->id(), egress};
    return;
  }
  members_.push_back({egress->id(), egress});
}

void GroupMembers::Leave(uint32_t egress_id) {
  const auto left = std::find_if(
      members_.begin(), members_.end(),
      [&](const Member& member) { return member.id == egress_id; });
  if (left == members_.end()) return;
  // The turn stays where it was.
  if (static_cast<size_t>(left - members_.begin()) < next_) --next_;
  members_.erase(left);
}

void GroupMembers::SetRoom(uint32_t egress_id) {
  for (Member& member : members_) {
    if (member.id == egress_id && member.egress) member.has_room = true;
  }
}

size_t GroupMembers::CountWithRoom() const {
  return static_cast<size_t>(
      std::count_if(members_.begin(), members_.end(),
                    [](const Member& member) { return member.has_room; }));
}

pb::state::GroupMembers GroupMembers::Export() const {
  pb::state::GroupMembers state;
  for (const Member& member : members_) state.add_egress_ids(member.id);
  state.set_next(next_);
  return state;
}

GroupMembers GroupMembers::Restore(const pb::state::GroupMembers& state) {
  GroupMembers members;
  for (const uint32_t id : state.egress_ids()) {
    members.members_.push_back({id, nullptr, /*has_room=*/false});
  }
  members.next_ = state.next();
  return members;
}

std::vector<uint32_t> GroupMembers::Absent() const {
  std::vector<uint32_t> absent;
  for (const Member& member : members_) {
    if (!member.egress) absent.push_back(member.id);
  }
  return absent;
}

}  // namespace fifobus
