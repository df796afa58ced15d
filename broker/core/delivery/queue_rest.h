#ifndef FIFOBUS_BROKER_CORE_DELIVERY_QUEUE_REST_H_
#define FIFOBUS_BROKER_CORE_DELIVERY_QUEUE_REST_H_

#include <cstddef>

#include "absl/types/span.h"
#include "broker/core/delivery/egress_queue.h"
#include "broker/seam/chunk.h"
#include "broker/seam/sink.h"

namespace fifobus {

// Queues slices of a chunk of which the first `written` bytes have been written.
// Up to `copied_bytes_max` are copied into a chunk of their own, so that a slow
// subscriber of small messages does not pin a large chunk for each of them.
// REQUIRES: written < slices.front().size; as EgressQueue::Push.
//
// Thread-compatible (no state).
void QueueRest(QueuedAs as, const ChunkRef& chunk,
               absl::Span<const Slice> slices, size_t written,
               size_t copied_bytes_max, EgressQueue& queue);

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_DELIVERY_QUEUE_REST_H_
