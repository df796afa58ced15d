#include "broker/core/delivery/queue_transfer.h"

#include <memory>
#include <optional>
#include <utility>

#include "broker/base/check.h"

namespace fifobus {
namespace {

using StateEntry = pb::state::QueueEntry;

StateEntry::As AsInState(QueuedAs as) {
  switch (as) {
    case QueuedAs::kFrames:
      return StateEntry::AS_FRAMES;
    case QueuedAs::kUnit:
      return StateEntry::AS_UNIT;
    case QueuedAs::kControl:
      return StateEntry::AS_CONTROL;
  }
  return StateEntry::AS_UNSPECIFIED;
}

QueuedAs AsOf(StateEntry::As as) {
  FIFOBUS_CHECK(as >= StateEntry::AS_FRAMES && as <= StateEntry::AS_CONTROL);
  return as == StateEntry::AS_FRAMES ? QueuedAs::kFrames
         : as == StateEntry::AS_UNIT ? QueuedAs::kUnit
                                     : QueuedAs::kControl;
}

StateEntry ExportEntry(const QueueEntry& entry, StateChunks& chunks) {
  StateEntry state;
  if (entry.gap) {
    *state.mutable_gap() = entry.gap->Export();
    return state;
  }
  state.set_as(AsInState(entry.as));
  *state.mutable_bytes() = chunks.Export(entry.chunk, entry.bytes);
  state.set_written(entry.written);
  state.set_messages(entry.messages);
  state.set_expiry_unix_nanos(entry.expiry_unix_nanos);
  return state;
}

QueueEntry RestoreEntry(const StateEntry& state, const StateChunks& chunks) {
  QueueEntry entry;
  if (state.has_gap()) {
    entry.gap = std::make_unique<GapLedger>(GapLedger::Restore(state.gap()));
    return entry;
  }
  StateChunks::Restored restored = chunks.Restore(state.bytes());
  FIFOBUS_CHECK(state.written() < restored.bytes.size());
  entry.as = AsOf(state.as());
  entry.chunk = std::move(restored.chunk);
  entry.bytes = restored.bytes;
  entry.written = state.written();
  entry.messages = state.messages();
  entry.expiry_unix_nanos = state.expiry_unix_nanos();
  return entry;
}

}  // namespace

pb::state::EgressQueue QueueTransfer::Export(const EgressQueue& queue,
                                             StateChunks& chunks) {
  pb::state::EgressQueue state;
  for (const QueueEntry& entry : queue.entries_) {
    *state.add_entries() = ExportEntry(entry, chunks);
  }
  for (size_t i = 0; i < kLossReasons; ++i) {
    if (queue.dropped_[i] == 0) continue;
    pb::state::LossCount& count = *state.add_dropped();
    count.set_reason(ReasonInFrame(static_cast<LossReason>(i)));
    count.set_messages(queue.dropped_[i]);
  }
  return state;
}

// The counts follow from the entries.
void QueueTransfer::Restore(const pb::state::EgressQueue& state,
                            const StateChunks& chunks, EgressQueue& queue) {
  FIFOBUS_CHECK(queue.empty());
  for (const StateEntry& each : state.entries()) {
    QueueEntry entry = RestoreEntry(each, chunks);
    queue.Count(entry);
    queue.entries_.push_back(std::move(entry));
  }
  for (const pb::state::LossCount& count : state.dropped()) {
    queue.CountLoss(
        LossReasonOf(count.reason()).value_or(LossReason::kOverflow),
        count.messages());
  }
}

}  // namespace fifobus
