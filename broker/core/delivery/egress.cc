#include "broker/core/delivery/egress.h"

#include <array>
#include <string>
#include <utility>

#include "broker/core/delivery/message_unit.h"
#include "broker/core/delivery/queue_rest.h"
#include "proto/expiry.h"

namespace fifobus {
namespace {

// Slices that one drain step hands to the sink. Not tuned; the kernel takes up
// to IOV_MAX = 1024.
constexpr size_t kDrainSlices = 64;

QueuedAs QueuedAsOf(EgressFormat format) {
  return format == EgressFormat::kFrames ? QueuedAs::kFrames : QueuedAs::kUnit;
}

EgressQueue::Gaps GapsOf(EgressFormat format) {
  switch (format) {
    case EgressFormat::kFrames:
      return EgressQueue::Gaps::kFrames;
    case EgressFormat::kJson:
      return EgressQueue::Gaps::kJsonLines;
    case EgressFormat::kText:
      break;
  }
  return EgressQueue::Gaps::kOnlyCounted;
}

uint64_t MessagesIn(absl::Span<const Slice> slices) {
  uint64_t messages = 0;
  for (const Slice& slice : slices) messages += slice.messages;
  return messages;
}

}  // namespace

Egress::Egress(uint32_t id, EgressFormat format, const BrokerOptions& options,
               std::shared_ptr<Sink> sink, Counters& counters)
    : id_(id),
      format_(format),
      control_bytes_max_(options.control_bytes_max),
      copied_rest_bytes_max_(options.copied_rest_bytes_max),
      counters_(counters),
      sink_(std::move(sink)),
      queue_(GapsOf(format), options.frame_bytes_max),
      pressure_(options.stall_timeout) {
  MutexLock lock(mutex_);
  policy_ = UsualPolicy(options);
}

void Egress::SetOwnValve(std::shared_ptr<Valve> valve) {
  MutexLock lock(mutex_);
  pressure_.SetOwnValve(std::move(valve));
}

void Egress::SetPolicy(const OverflowPolicy& policy) {
  MutexLock lock(mutex_);
  policy_ = policy;
}

void Egress::Afterwards::Run() {
  for (const std::shared_ptr<Valve>& valve : resume) valve->Resume();
  if (start_clock) start_clock->StartStallClock();
  if (end) end->RequestEnd();
  if (room) room->OnRoom();
}

Egress::OfferOutcome Egress::Offer(const ChunkRef& chunk,
                                   absl::Span<const Slice> slices,
                                   const std::shared_ptr<Valve>& valve,
                                   uint64_t generation, const Staged* staged) {
  Afterwards afterwards;
  {
    MutexLock lock(mutex_);
    if (!sink_) return OfferOutcome::kDone;
    if (generation < unsubscribed_generation_) return OfferOutcome::kStale;
    if (pressure_.ending()) {
      if (!pressure_.reason_said()) TurnAway(slices, LossReason::kDisconnected);
      return OfferOutcome::kDone;
    }
    size_t written = 0;
    if (queue_.empty()) {
      written = WriteNow(slices, staged);
      if (written == TotalBytes(slices)) {
        offered_ += MessagesIn(slices);
        return OfferOutcome::kDone;
      }
    } else if (TurnsAway(valve)) {
      TurnAway(slices, LossReason::kOverflow);
      return OfferOutcome::kDone;
    }
    offered_ += MessagesIn(slices);
    const size_t begun = SkipWritten(written, slices);
    QueueRest(QueuedAsOf(format_), chunk, slices, begun, copied_rest_bytes_max_,
              queue_);
    LimitQueue(valve, afterwards);
  }
  afterwards.Run();
  return OfferOutcome::kDone;
}

void Egress::NoteUnsubscribed(uint64_t generation) {
  MutexLock lock(mutex_);
  unsubscribed_generation_ = generation;
}

void Egress::OfferFirst(absl::Span<const RetainedValue> values) {
  std::vector<Slice> slices;
  for (const RetainedValue& value : values) {
    slices.push_back({value.chunk->bytes(), value.chunk->capacity(),
                      value.expiry_unix_nanos});
  }
  MutexLock lock(mutex_);
  if (!sink_ || pressure_.ending()) return;
  offered_ += slices.size();
  size_t written = queue_.empty() ? WriteNow(slices, nullptr) : 0;
  for (size_t i = 0; i < slices.size(); ++i) {
    if (written >= slices[i].size) {
      written -= slices[i].size;
    } else {
      queue_.Push(QueuedAsOf(format_), values[i].chunk, slices[i],
                  std::exchange(written, 0));
    }
  }
}

void Egress::QueueFirst(const ChunkRef& chunk, const Slice& slice) {
  MutexLock lock(mutex_);
  if (!sink_ || pressure_.ending()) return;
  ++offered_;
  queue_.Push(QueuedAsOf(format_), chunk, slice, /*written=*/0);
  if (queue_.RecountExceeds(policy_.limits)) {
    counters_.messages_dropped.Add(queue_.DropOldest(policy_.limits));
  }
}

Egress::OfferOutcome Egress::OfferLoss(LossReason reason,
                                       std::string_view topic,
                                       uint64_t generation) {
  Afterwards afterwards;
  {
    MutexLock lock(mutex_);
    if (!sink_ || pressure_.reason_said()) return OfferOutcome::kDone;
    if (generation < unsubscribed_generation_) return OfferOutcome::kStale;
    ++offered_;
    queue_.PushLoss(reason, topic);
    Drain(afterwards);
  }
  afterwards.Run();
  return OfferOutcome::kDone;
}

Egress::ControlOutcome Egress::OfferControl(std::string_view frames) {
  MutexLock lock(mutex_);
  if (!sink_ || pressure_.ending()) return ControlOutcome::kClosed;
  if (queue_.control_weight() > control_bytes_max_)
    return ControlOutcome::kFull;
  const Slice whole{frames.data(), frames.size()};
  size_t written = 0;
  if (queue_.empty()) {
    written = WriteNow({&whole, 1}, nullptr);
    if (written == frames.size()) return ControlOutcome::kQueued;
  }
  queue_.PushControl(frames, written);
  return ControlOutcome::kQueued;
}

Egress::RoomResult Egress::OfferIfRoom(absl::Span<const Slice> slices,
                                       const StoredSlices* stored) {
  MutexLock lock(mutex_);
  if (!sink_ || pressure_.ending()) return {};
  size_t taken = queue_.empty() ? WriteNow(slices, nullptr, stored) : 0;
  if (taken == TotalBytes(slices)) {
    offered_ += MessagesIn(slices);
  } else {
    room_wanted_ = true;
    taken = FinishUnit(slices, taken);
  }
  return {taken, delivered_bytes_ + queue_.bytes()};
}

uint64_t Egress::ReadPosition() const {
  MutexLock lock(mutex_);
  return sink_ ? delivered_bytes_ - sink_->status().unread_bytes : read_bytes_;
}

void Egress::SetRoomListener(std::shared_ptr<RoomListener> listener) {
  MutexLock lock(mutex_);
  room_listener_ = std::move(listener);
}

void Egress::ReaderLeft() {
  Afterwards afterwards;
  {
    MutexLock lock(mutex_);
    if (!sink_) return;
    reader_gone_ = true;
    if (pressure_.holds_up() > 0) Stall(afterwards);
  }
  afterwards.Run();
}

void Egress::ReaderCame() {
  {
    MutexLock lock(mutex_);
    reader_gone_ = false;
  }
  OnWritable();
}

void Egress::Close() { (void)Abandon(); }

uint64_t Egress::Abandon() {
  Afterwards afterwards;
  // What goes with the last reference to these may take locks of its own.
  std::shared_ptr<Sink> sink;
  std::shared_ptr<RoomListener> listener;
  uint64_t messages = 0;
  {
    MutexLock lock(mutex_);
    if (sink_) read_bytes_ = delivered_bytes_ - sink_->status().unread_bytes;
    sink.swap(sink_);
    listener.swap(room_listener_);
    afterwards.resume = pressure_.ReleaseAll();
    messages = queue_.Clear();
  }
  afterwards.Run();
  return messages;
}

void Egress::OnWritable() {
  Afterwards afterwards;
  {
    MutexLock lock(mutex_);
    if (!sink_) return;
    Drain(afterwards);
    // Only here, on the worker's thread. Another worker may have drained the
    // queue before: then there was room, of which the sink still tells.
    if (room_wanted_ && queue_.empty() && !reader_gone_) {
      room_wanted_ = false;
      afterwards.room = room_listener_;
    }
  }
  afterwards.Run();
}

void Egress::OnStallTimeout() {
  Afterwards afterwards;
  {
    MutexLock lock(mutex_);
    const BackPressure::Timeout timeout = pressure_.OnTimeout(policy_.overflow);
    if (!sink_) return;
    switch (timeout) {
      case BackPressure::Timeout::kNothing:
        break;
      case BackPressure::Timeout::kStartClock:
        afterwards.start_clock = sink_;
        break;
      case BackPressure::Timeout::kStall:
        Stall(afterwards);
        break;
      case BackPressure::Timeout::kEnd:
        afterwards.end = sink_;
        break;
    }
  }
  afterwards.Run();
}

EgressState Egress::state() const {
  MutexLock lock(mutex_);
  queue_.Recount();
  EgressState state;
  state.queued_bytes = queue_.bytes();
  state.queued_messages = queue_.messages();
  state.overflow = policy_.overflow;
  state.dropped = queue_.dropped();
  state.dropped_by_reason = queue_.dropped_by_reason();
  state.delivered = offered_ - queue_.messages() - queue_.dropped();
  state.delivered_bytes = delivered_bytes_;
  state.stalls = pressure_.stalls();
  state.holds_up = pressure_.holds_up();
  if (!queue_.empty()) state.stuck = pressure_.StuckFor();
  if (sink_) state.sink = sink_->status();
  state.stalled = pressure_.stalled();
  state.reader_gone = reader_gone_;
  state.ending = pressure_.ending();
  return state;
}

size_t Egress::WriteNow(absl::Span<const Slice> slices, const Staged* staged,
                        const StoredSlices* stored) {
  if (reader_gone_) return 0;
  const SinkResult result = stored == nullptr
                                ? sink_->Write(slices, staged)
                                : sink_->WriteStored(slices, *stored);
  if (result.outcome == SinkOutcome::kNoReader) reader_gone_ = true;
  delivered_bytes_ += result.bytes_taken;
  if (result.bytes_taken == TotalBytes(slices)) {
    pressure_.OnWritten(BackPressure::Taken::kAll);
  } else {
    pressure_.OnWritten(result.bytes_taken > 0 ? BackPressure::Taken::kPart
                                               : BackPressure::Taken::kNothing);
  }
  return result.bytes_taken;
}

size_t Egress::FinishUnit(absl::Span<const Slice> slices, size_t written) {
  size_t taken = 0;
  while (written >= taken + slices.front().size) {
    taken += slices.front().size;
    offered_ += slices.front().messages;
    slices.remove_prefix(1);
  }
  std::string_view rest(slices.front().bytes, slices.front().size);
  while (taken < written) {
    const MessageUnit unit = FirstUnit(rest);
    const size_t unit_bytes = unit.bytes.size();
    if (taken + unit_bytes > written) {
      // Nobody reads the rest: another member may have the whole.
      if (reader_gone_) return taken;
      ChunkRef chunk = Chunk::CopyOf(unit.bytes);
      const Slice kept{chunk->bytes(), unit_bytes};
      queue_.Push(unit.is_message() ? QueuedAs::kFrames : QueuedAs::kControl,
                  std::move(chunk), kept, written - taken);
    }
    offered_ += unit.is_message() ? 1 : 0;
    taken += unit_bytes;
    rest.remove_prefix(unit_bytes);
  }
  return taken;
}

void Egress::WriteQueue() {
  if (queue_.MayExpire()) DropExpired();
  std::array<Slice, kDrainSlices> slices;
  while (!queue_.empty() && !reader_gone_) {
    const size_t count = queue_.Peek(absl::MakeSpan(slices));
    const absl::Span<const Slice> next(slices.data(), count);
    const size_t total = TotalBytes(next);
    const size_t written = WriteNow(next, nullptr);
    queue_.Consume(written);
    if (written < total) break;
  }
}

void Egress::Drain(Afterwards& afterwards) {
  WriteQueue();
  if (pressure_.ending()) {
    GoOnEnding(afterwards);
  } else if (queue_.IsBelowHalf(policy_.limits)) {
    afterwards.resume = pressure_.OnBelowHalf();
  }
}

void Egress::LimitQueue(const std::shared_ptr<Valve>& valve,
                        Afterwards& afterwards) {
  queue_.CompactIfWorthwhile(policy_.limits);
  if (!queue_.RecountExceeds(policy_.limits)) return;
  if (queue_.MayExpire()) DropExpired();
  // Another worker may have missed the news that the reader reads again.
  if (!pressure_.stalled() && pressure_.IsStuck()) Drain(afterwards);
  if (!queue_.RecountExceeds(policy_.limits)) return;
  switch (pressure_.OnFull(valve, policy_.overflow, reader_gone_)) {
    case BackPressure::Reaction::kNothing:
      return;
    case BackPressure::Reaction::kStartClock:
      afterwards.start_clock = sink_;
      return;
    case BackPressure::Reaction::kStall:
      return Stall(afterwards);
    case BackPressure::Reaction::kMakeRoom:
      return MakeRoom();
  }
}

void Egress::Stall(Afterwards& afterwards) {
  counters_.egress_stalls.Add();
  afterwards.resume = pressure_.Stall();
  if (policy_.overflow == Overflow::kDisconnect) {
    BeginEnd(afterwards);
  } else {
    MakeRoom();
  }
}

void Egress::BeginEnd(Afterwards& afterwards) {
  if (pressure_.BeginEnd() == BackPressure::Reaction::kStartClock) {
    afterwards.start_clock = sink_;
  }
  counters_.messages_dropped.Add(queue_.DropAll(LossReason::kDisconnected));
}

void Egress::GoOnEnding(Afterwards& afterwards) {
  if (!queue_.empty()) return;
  if (pressure_.ReasonIsDue()) {
    queue_.PushControl(OverflowErrorFrame(), /*written=*/0);
    WriteQueue();
  }
  if (queue_.empty()) afterwards.end = sink_;
}

bool Egress::TurnsAway(const std::shared_ptr<Valve>& valve) {
  if (pressure_.stalled()) {  // until it is below half
    return policy_.overflow == Overflow::kDropNewest;
  }
  return valve == nullptr && queue_.RecountExceeds(policy_.limits);
}

void Egress::TurnAway(absl::Span<const Slice> slices, LossReason reason) {
  for (const Slice& slice : slices) {
    counters_.messages_dropped.Add(slice.messages);
    offered_ += slice.messages;
    queue_.PushLosses(QueuedAsOf(format_), slice, reason);
  }
}

void Egress::MakeRoom() {
  switch (policy_.overflow) {
    case Overflow::kLatest: {
      // Conflates down to half of the limit. Otherwise a queue that is full of
      // different topics would be searched again for each message.
      counters_.messages_conflated.Add(queue_.Conflate());
      if (queue_.IsBelowHalf(policy_.limits)) return;
      const QueueLimits half = {policy_.limits.bytes_max / 2,
                                (policy_.limits.messages_max + 1) / 2};
      counters_.messages_dropped.Add(queue_.DropOldest(half));
      return;
    }
    case Overflow::kDropOldest:
      counters_.messages_dropped.Add(queue_.DropOldest(policy_.limits));
      return;
    case Overflow::kDropNewest:  // what comes next is turned away
    case Overflow::kDisconnect:
    case Overflow::kBlock:
      return;
  }
}

void Egress::DropExpired() {
  counters_.messages_expired.Add(queue_.DropExpired(UnixNanosNow()));
}

}  // namespace fifobus
