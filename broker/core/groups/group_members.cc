#include "broker/core/groups/group_members.h"

#include <algorithm>

namespace fifobus {

void GroupMembers::Join(const std::shared_ptr<Egress>& egress) {
  for (const Member& member : members_) {
    if (member.egress == egress) return;
  }
  members_.push_back({egress});
}

void GroupMembers::Leave(uint32_t egress_id) {
  const auto left = std::find_if(
      members_.begin(), members_.end(),
      [&](const Member& member) { return member.egress->id() == egress_id; });
  if (left == members_.end()) return;
  // The turn stays where it was.
  if (static_cast<size_t>(left - members_.begin()) < next_) --next_;
  members_.erase(left);
}

void GroupMembers::SetRoom(uint32_t egress_id) {
  for (Member& member : members_) {
    if (member.egress->id() == egress_id) member.has_room = true;
  }
}

size_t GroupMembers::CountWithRoom() const {
  return static_cast<size_t>(
      std::count_if(members_.begin(), members_.end(),
                    [](const Member& member) { return member.has_room; }));
}

}  // namespace fifobus
