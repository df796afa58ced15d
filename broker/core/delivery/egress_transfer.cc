#include "broker/core/delivery/egress_transfer.h"

#include "broker/base/check.h"
#include "broker/core/delivery/queue_transfer.h"
#include "proto/overflow.h"

namespace fifobus {

pb::state::OverflowPolicy EgressTransfer::ExportPolicy(
    const OverflowPolicy& policy) {
  pb::state::OverflowPolicy state;
  state.set_overflow(OverflowInFrame(policy.overflow));
  state.set_queue_bytes_max(policy.limits.bytes_max);
  state.set_queue_messages_max(policy.limits.messages_max);
  return state;
}

OverflowPolicy EgressTransfer::RestorePolicy(
    const pb::state::OverflowPolicy& state) {
  return {OverflowOf(state.overflow()),
          {state.queue_bytes_max(), state.queue_messages_max()}};
}

pb::state::Egress EgressTransfer::Export(const Egress& egress,
                                         StateChunks& chunks,
                                         const StateIngresses& ingresses) {
  pb::state::Egress state;
  state.set_id(egress.id_);
  const MutexLock lock(egress.mutex_);
  state.set_closed(egress.sink_ == nullptr);
  *state.mutable_policy() = ExportPolicy(egress.policy_);
  *state.mutable_queue() = QueueTransfer::Export(egress.queue_, chunks);
  *state.mutable_pressure() = egress.pressure_.Export(ingresses);
  state.set_reader_gone(egress.reader_gone_);
  state.set_room_wanted(egress.room_wanted_);
  state.set_offered(egress.offered_);
  state.set_delivered_bytes(egress.delivered_bytes_);
  state.set_read_bytes(egress.read_bytes_);
  return state;
}

void EgressTransfer::Restore(const pb::state::Egress& state,
                             const StateChunks& chunks,
                             StateIngresses& ingresses,
                             const std::shared_ptr<Egress>& egress) {
  FIFOBUS_CHECK(egress->id_ == state.id());
  if (state.closed()) egress->Close();
  Egress::Afterwards afterwards;
  {
    const MutexLock lock(egress->mutex_);
    egress->policy_ = RestorePolicy(state.policy());
    QueueTransfer::Restore(state.queue(), chunks, egress->queue_);
    if (egress->pressure_.Restore(state.pressure()) ==
        BackPressure::Reaction::kStartClock) {
      afterwards.start_clock = egress->sink_;
    }
    egress->reader_gone_ = state.reader_gone();
    egress->room_wanted_ = state.room_wanted();
    egress->offered_ = state.offered();
    egress->delivered_bytes_ = state.delivered_bytes();
    egress->read_bytes_ = state.read_bytes();
  }
  afterwards.Run();
  if (state.pressure().paused_size() == 0) return;
  ingresses.Later([&ingresses, egress, pressure = state.pressure()] {
    const MutexLock lock(egress->mutex_);
    if (egress->sink_) egress->pressure_.RestorePaused(pressure, ingresses);
  });
}

}  // namespace fifobus
