#ifndef FIFOBUS_BROKER_UPGRADE_STATE_DESCRIPTORS_H_
#define FIFOBUS_BROKER_UPGRADE_STATE_DESCRIPTORS_H_

#include <vector>

#include "google/protobuf/message.h"

namespace fifobus {

// The descriptors that a state names: all its fields `optional int32 ..._fd`
// that are set, however deep. So a room that adds one has it kept open by an
// upgrade without being asked.
std::vector<int> DescriptorsOf(const google::protobuf::Message& state);

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_UPGRADE_STATE_DESCRIPTORS_H_
