#include "broker/core/delivery/egress.h"

#include <array>
#include <cstring>
#include <string>
#include <utility>

#include "broker/core/delivery/message_unit.h"
#include "proto/expiry.h"
#include "proto/frame.pb.h"
#include "proto/frame_writer.h"

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

std::string OverflowErrorFrame() {
  pb::Frame frame;
  frame.mutable_error()->set_code(pb::Error::CODE_OVERFLOW);
  frame.mutable_error()->set_text(
      "this subscriber was too slow and had asked to be disconnected then");
  std::string bytes;
  AppendFrame(frame, bytes);
  return bytes;
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
      queue_(GapsOf(format)),
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

void Egress::Offer(const ChunkRef& chunk, absl::Span<const Slice> slices,
                   const std::shared_ptr<Valve>& valve, const Staged* staged) {
  Afterwards afterwards;
  {
    MutexLock lock(mutex_);
    if (!sink_) return;
    if (pressure_.ending()) {
      if (!pressure_.reason_said()) TurnAway(slices, LossReason::kDisconnected);
      return;
    }
    size_t written = 0;
    if (queue_.empty()) {
      written = WriteNow(slices, staged);
      if (written == TotalBytes(slices)) {
        offered_ += MessagesIn(slices);
        return;
      }
    } else if (TurnsAway(valve)) {
      TurnAway(slices, LossReason::kOverflow);
      return;
    }
    offered_ += MessagesIn(slices);
    QueueRest(chunk, slices, written);
    LimitQueue(valve, afterwards);
  }
  afterwards.Run();
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

void Egress::OfferLoss(LossReason reason, std::string_view topic) {
  Afterwards afterwards;
  {
    MutexLock lock(mutex_);
    if (!sink_ || pressure_.reason_said()) return;
    ++offered_;
    queue_.PushLoss(reason, topic);
    Drain(afterwards);
  }
  afterwards.Run();
}

Egress::ControlOutcome Egress::OfferControl(std::string_view frames) {
  MutexLock lock(mutex_);
  if (!sink_ || pressure_.ending()) return ControlOutcome::kClosed;
  if (queue_.control_bytes() > control_bytes_max_) return ControlOutcome::kFull;
  const Slice whole{frames.data(), frames.size()};
  size_t written = 0;
  if (queue_.empty()) {
    written = WriteNow({&whole, 1}, nullptr);
    if (written == frames.size()) return ControlOutcome::kQueued;
  }
  PushControl(frames, written);
  return ControlOutcome::kQueued;
}

size_t Egress::OfferIfRoom(absl::Span<const Slice> slices) {
  MutexLock lock(mutex_);
  if (!sink_ || pressure_.ending()) return 0;
  const size_t written = queue_.empty() ? WriteNow(slices, nullptr) : 0;
  if (written == TotalBytes(slices)) {
    offered_ += MessagesIn(slices);
    return written;
  }
  room_wanted_ = true;
  return FinishUnit(slices, written);
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

size_t Egress::WriteNow(absl::Span<const Slice> slices, const Staged* staged) {
  if (reader_gone_) return 0;
  const SinkResult result = sink_->Write(slices, staged);
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

// Small rests are copied into one chunk of their own, so that a slow subscriber
// of small messages does not pin a large chunk for each of them.
void Egress::QueueRest(const ChunkRef& chunk, absl::Span<const Slice> slices,
                       size_t written) {
  written = SkipWritten(written, slices);
  const size_t bytes = TotalBytes(slices);
  ChunkRef kept = chunk;
  char* copy = nullptr;
  if (bytes <= copied_rest_bytes_max_) {
    kept = Chunk::Make(bytes);
    copy = kept->bytes();
  }
  for (Slice slice : slices) {
    if (copy != nullptr) {
      std::memcpy(copy, slice.bytes, slice.size);
      slice.bytes = copy;
      copy += slice.size;
    }
    queue_.Push(QueuedAsOf(format_), kept, slice, std::exchange(written, 0));
  }
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
    const std::string_view unit = FirstUnit(rest).bytes;
    if (taken + unit.size() > written) {
      // Nobody reads the rest: another member may have the whole.
      if (reader_gone_) return taken;
      ChunkRef chunk = Chunk::CopyOf(unit);
      const Slice kept{chunk->bytes(), unit.size()};
      queue_.Push(QueuedAs::kFrames, std::move(chunk), kept, written - taken);
    }
    ++offered_;
    taken += unit.size();
    rest.remove_prefix(unit.size());
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
  if (room_wanted_ && queue_.empty() && !reader_gone_) {
    room_wanted_ = false;
    afterwards.room = room_listener_;
  }
}

void Egress::LimitQueue(const std::shared_ptr<Valve>& valve,
                        Afterwards& afterwards) {
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
    PushControl(OverflowErrorFrame(), /*written=*/0);
    WriteQueue();
  }
  if (queue_.empty()) afterwards.end = sink_;
}

bool Egress::TurnsAway(const std::shared_ptr<Valve>& valve) {
  const bool drops_newest = pressure_.stalled()
                                ? policy_.overflow == Overflow::kDropNewest
                                : valve == nullptr;
  return drops_newest && queue_.RecountExceeds(policy_.limits);
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

void Egress::PushControl(std::string_view frames, size_t written) {
  ChunkRef chunk = Chunk::CopyOf(frames);
  const Slice kept{chunk->bytes(), frames.size()};
  queue_.Push(QueuedAs::kControl, std::move(chunk), kept, written);
}

}  // namespace fifobus
