#ifndef FIFOBUS_BROKER_CORE_GROUPS_GROUP_MEMBERS_H_
#define FIFOBUS_BROKER_CORE_GROUPS_GROUP_MEMBERS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "broker/core/delivery/egress.h"
#include "broker/state/group_state.pb.h"

namespace fifobus {

// The members of a queue group, and their turns. Thread-compatible; owned by a
// Group, under its lock. Not meant for thousands of members: a look-up goes
// through all of them.
class GroupMembers {
 public:
  struct Member {
    uint32_t id;
    std::shared_ptr<Egress> egress;  // null: absent, and without room
    // No, once it has turned something away, until its OnRoom.
    bool has_room = true;
  };

  // Joining twice is joining once. One that was absent is so no more.
  void Join(const std::shared_ptr<Egress>& egress);
  void Leave(uint32_t egress_id);

  void SetRoom(uint32_t egress_id);

  // Each of those that are restored is absent until it joins again, and keeps
  // its place. Whether they have room is found out by the first offer.
  pb::state::GroupMembers Export() const;
  static GroupMembers Restore(const pb::state::GroupMembers& state);
  std::vector<uint32_t> Absent() const;

  bool empty() const { return members_.empty(); }
  size_t size() const { return members_.size(); }
  size_t CountWithRoom() const;

  // The next in turn of those that have room and for which accepts(member) is
  // true; null if there is none. Valid until the next Join or Leave.
  template <typename Accepts>
  Member* Next(const Accepts& accepts) {
    for (size_t tried = 0; tried < members_.size(); ++tried) {
      if (next_ >= members_.size()) next_ = 0;
      Member& member = members_[next_++];
      if (member.has_room && accepts(member)) return &member;
    }
    return nullptr;
  }

 private:
  std::vector<Member> members_;
  size_t next_ = 0;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_GROUPS_GROUP_MEMBERS_H_
