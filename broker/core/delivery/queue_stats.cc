#include "broker/core/delivery/queue_stats.h"

#include "proto/overflow.h"

namespace fifobus {

pb::StatsReply::Queue QueueStats(const EgressState& state) {
  pb::StatsReply::Queue queue;
  queue.set_queued_bytes(state.queued_bytes);
  queue.set_queued_messages(state.queued_messages);
  queue.set_dropped(state.dropped);
  queue.set_stalled(state.stalled);
  queue.set_overflow(OverflowInFrame(state.overflow));
  queue.set_delivered(state.delivered);
  queue.set_delivered_bytes(state.delivered_bytes);
  const auto lost = [&](LossReason reason) {
    return state.dropped_by_reason[static_cast<size_t>(reason)];
  };
  queue.set_dropped_overflow(lost(LossReason::kOverflow));
  queue.set_dropped_conflated(lost(LossReason::kConflated));
  queue.set_dropped_expired(lost(LossReason::kExpired));
  queue.set_dropped_disconnected(lost(LossReason::kDisconnected));
  queue.set_stalls(state.stalls);
  queue.set_holds_up(static_cast<uint32_t>(state.holds_up));
  queue.set_stuck_millis(
      static_cast<uint64_t>(absl::ToInt64Milliseconds(state.stuck)));
  queue.set_pipe_bytes(state.sink.pipe_bytes);
  queue.set_unread_bytes(state.sink.unread_bytes);
  return queue;
}

}  // namespace fifobus
