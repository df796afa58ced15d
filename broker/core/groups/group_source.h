#ifndef FIFOBUS_BROKER_CORE_GROUPS_GROUP_SOURCE_H_
#define FIFOBUS_BROKER_CORE_GROUPS_GROUP_SOURCE_H_

#include <cstdint>
#include <memory>

#include "absl/types/span.h"
#include "broker/core/delivery/egress.h"
#include "broker/core/delivery/room_listener.h"
#include "broker/state/group_state.pb.h"

namespace fifobus {

// Where the messages of a group over a log come from: it reads a log, and
// offers the group's egress what that has room for. So nothing ever waits in
// the group's queue.
//
// Thread-safe, OnRoom too: any member's worker may find that there is room.
class GroupSource : public RoomListener {
 public:
  // Offers from now on, on a worker of its own choice. Called once, and perhaps
  // under a lock.
  virtual void Begin(std::shared_ptr<Egress> egress) = 0;
  // Offers nothing more, once its worker has run what is posted to it by now.
  virtual void End() = 0;
  // The messages at these offsets are done, dead letters, or expired. Called
  // without a lock.
  virtual void Settle(absl::Span<const uint64_t> offsets) = 0;

  // Where it stands. Called while no worker runs.
  virtual pb::state::LogGroupSource Export() const = 0;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_GROUPS_GROUP_SOURCE_H_
