#ifndef FIFOBUS_BROKER_CORE_DELIVERY_EGRESS_TRANSFER_H_
#define FIFOBUS_BROKER_CORE_DELIVERY_EGRESS_TRANSFER_H_

#include <memory>

#include "broker/core/delivery/egress.h"
#include "broker/rules/overflow_policy.h"
#include "broker/seam/state_chunks.h"
#include "broker/seam/state_ingresses.h"
#include "broker/state/delivery_state.pb.h"

namespace fifobus {

// A subscriber in an upgrade. Its id goes over with it, because groups name
// members by their ids. Its sink, its valve and its listener are its owner's to
// restore.
//
// A stall clock that ran is started anew, so a stall may be noticed by one
// timeout later. What an older snapshot of subscriptions named needs no
// remembering: the new broker has none.
//
// Thread-safe, as the egress.
class EgressTransfer {
 public:
  static pb::state::Egress Export(const Egress& egress, StateChunks& chunks,
                                  const StateIngresses& ingresses);

  // REQUIRES: the egress is new, and was made with the id of the state. The
  // ingresses that it holds back are held back when `ingresses` is settled,
  // which must be before the first of them is read.
  static void Restore(const pb::state::Egress& state, const StateChunks& chunks,
                      StateIngresses& ingresses,
                      const std::shared_ptr<Egress>& egress);

  static pb::state::OverflowPolicy ExportPolicy(const OverflowPolicy& policy);
  static OverflowPolicy RestorePolicy(const pb::state::OverflowPolicy& state);
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_DELIVERY_EGRESS_TRANSFER_H_
