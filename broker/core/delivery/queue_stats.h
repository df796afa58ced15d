#ifndef FIFOBUS_BROKER_CORE_DELIVERY_QUEUE_STATS_H_
#define FIFOBUS_BROKER_CORE_DELIVERY_QUEUE_STATS_H_

#include "broker/core/delivery/egress_state.h"
#include "proto/frame.pb.h"

namespace fifobus {

// An egress's queue as Stats names it. Thread-safe.
pb::StatsReply::Queue QueueStats(const EgressState& state);

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_DELIVERY_QUEUE_STATS_H_
