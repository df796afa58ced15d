#ifndef FIFOBUS_BROKER_CORE_DELIVERY_QUEUE_TRANSFER_H_
#define FIFOBUS_BROKER_CORE_DELIVERY_QUEUE_TRANSFER_H_

#include "broker/core/delivery/egress_queue.h"
#include "broker/seam/state_chunks.h"
#include "broker/state/delivery_state.pb.h"

namespace fifobus {

// A subscriber's queue in an upgrade: the new broker's goes on at the byte at
// which the old one's stood, with the same gaps in the same places. Messages go
// over by reference to chunks. Thread-compatible, as the queue.
class QueueTransfer {
 public:
  static pb::state::EgressQueue Export(const EgressQueue& queue,
                                       StateChunks& chunks);
  // REQUIRES: the queue is new.
  static void Restore(const pb::state::EgressQueue& state,
                      const StateChunks& chunks, EgressQueue& queue);
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_DELIVERY_QUEUE_TRANSFER_H_
