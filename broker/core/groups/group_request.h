#ifndef FIFOBUS_BROKER_CORE_GROUPS_GROUP_REQUEST_H_
#define FIFOBUS_BROKER_CORE_GROUPS_GROUP_REQUEST_H_

#include <optional>
#include <string>

#include "broker/core/groups/ack_ledger.h"
#include "broker/options.h"
#include "proto/frame.pb.h"

namespace fifobus {

// What a Subscribe asks of its group.
struct GroupRequest {
  // One clause for people on what is wrong with it; empty: nothing.
  std::string fault;
  // None: the group does not acknowledge.
  std::optional<AckRule> rule;
};

// Checks the group's name and rule against what the broker allows, and fills in
// what is not said. Thread-safe.
GroupRequest ReadGroupRequest(const pb::Subscribe& subscribe,
                              const BrokerOptions& options);

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_GROUPS_GROUP_REQUEST_H_
