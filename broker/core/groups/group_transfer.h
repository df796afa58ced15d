#ifndef FIFOBUS_BROKER_CORE_GROUPS_GROUP_TRANSFER_H_
#define FIFOBUS_BROKER_CORE_GROUPS_GROUP_TRANSFER_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "broker/core/groups/dealt_runs.h"
#include "broker/core/groups/group.h"
#include "broker/core/groups/group_source.h"
#include "broker/seam/state_chunks.h"
#include "broker/seam/state_ingresses.h"
#include "broker/state/group_state.pb.h"

namespace fifobus {

// A queue group in an upgrade: what the old broker exports is the same group in
// the new one. Its members are absent at first, and keep their places. Its
// clocks and its source begin with Resume.
//
// Thread-safe, as the group.
class GroupTransfer {
 public:
  static pb::state::GroupKey ExportKey(const Group::Key& key);
  static Group::Key RestoreKey(const pb::state::GroupKey& state);

  static pb::state::Group Export(const Group& group, StateChunks& chunks,
                                 const StateIngresses& ingresses);
  // `source`: of a group over a log, as Group::source(). For the rest see
  // EgressTransfer.
  static std::shared_ptr<Group> Restore(const pb::state::Group& state,
                                        const Group::Context& context,
                                        std::shared_ptr<GroupSource> source,
                                        const StateChunks& chunks,
                                        StateIngresses& ingresses);

  // Members that have not joined since.
  static std::vector<uint32_t> Absent(const Group& group);
  // Goes on: what is due is delivered, and what is overdue soon is again.
  static void Resume(Group& group);

  // What a group without acks has dealt to the member, which may be unread. It
  // is counted also when the group has ended meanwhile.
  static DealtRuns DealtTo(const Group& group, uint32_t member);
  static std::shared_ptr<Group> RestoreEnded(const Group::Key& key,
                                             const Group::Context& context,
                                             uint32_t member, DealtRuns dealt);
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_GROUPS_GROUP_TRANSFER_H_
