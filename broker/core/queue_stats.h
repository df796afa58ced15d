#ifndef FIFOBUS_BROKER_CORE_QUEUE_STATS_H_
#define FIFOBUS_BROKER_CORE_QUEUE_STATS_H_

#include "broker/core/egress.h"
#include "proto/frame.pb.h"

// An egress's policy and queue as frames name them. Thread-safe (no state).
namespace fifobus {

// OVERFLOW_UNSPECIFIED and values of later versions are kDropOldest.
Overflow OverflowOf(pb::Overflow overflow);

pb::StatsReply::Queue QueueStats(const Egress::State& state);

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_QUEUE_STATS_H_
