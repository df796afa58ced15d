#ifndef FIFOBUS_BROKER_CORE_DELIVERY_EGRESS_STATE_H_
#define FIFOBUS_BROKER_CORE_DELIVERY_EGRESS_STATE_H_

#include <cstddef>
#include <cstdint>

#include "absl/time/time.h"
#include "broker/core/delivery/gap_ledger.h"
#include "broker/seam/sink.h"
#include "proto/overflow.h"

namespace fifobus {

// What is to be known of one subscriber at one moment, for listings.
// Thread-compatible (plain data).
struct EgressState {
  size_t queued_bytes = 0;
  size_t queued_messages = 0;
  Overflow overflow = Overflow::kDropOldest;
  uint64_t dropped = 0;
  LossCounts dropped_by_reason = {};
  // Messages that the sink has taken: not those that are queued or dropped.
  uint64_t delivered = 0;
  uint64_t delivered_bytes = 0;
  uint64_t stalls = 0;
  size_t holds_up = 0;  // ingresses that it keeps paused
  // How long the sink has taken nothing of what is queued.
  absl::Duration stuck;
  Sink::Status sink;
  bool stalled = false;
  bool reader_gone = false;
  bool ending = false;  // as Overflow::kDisconnect has it
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_DELIVERY_EGRESS_STATE_H_
