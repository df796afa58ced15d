#ifndef FIFOBUS_CLIENTS_CPP_INTERNAL_GROUP_LEAVE_H_
#define FIFOBUS_CLIENTS_CPP_INTERNAL_GROUP_LEAVE_H_

#include <cstdint>

#include "clients/cpp/deadline.h"
#include "clients/cpp/internal/dialogue.h"

namespace fifobus {

// Leaves the groups that do not acknowledge, so that they deal nothing more to
// this client, and returns how many of their messages it was sent and will not
// hand out any more. Nobody else gets those: the broker is told, and counts
// them. At the deadline, if no broker answers, it counts what it has.
//
// Of a message that a pattern without a group matches too nobody knows by which
// it came. It is not counted. Thread-compatible.
uint64_t LeaveGroups(Dialogue& dialogue, Deadline deadline);

}  // namespace fifobus

#endif  // FIFOBUS_CLIENTS_CPP_INTERNAL_GROUP_LEAVE_H_
