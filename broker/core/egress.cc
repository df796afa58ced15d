#include "broker/core/egress.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

namespace fifobus {
namespace {

// Slices that one drain step hands to the sink. Not tuned; the kernel takes up
// to IOV_MAX = 1024.
constexpr size_t kDrainSlices = 64;

QueuedAs QueuedAsOf(EgressFormat format) {
  return format == EgressFormat::kFrames ? QueuedAs::kFrames : QueuedAs::kUnit;
}

}  // namespace

Egress::Egress(uint32_t id, EgressFormat format, const BrokerOptions& options,
               std::shared_ptr<Sink> sink, Counters& counters)
    : id_(id),
      format_(format),
      queue_bytes_max_(options.egress_queue_bytes_max),
      copied_rest_bytes_max_(options.copied_rest_bytes_max),
      counters_(counters),
      sink_(std::move(sink)),
      queue_(format == EgressFormat::kFrames
                 ? EgressQueue::Gaps::kAnnounced
                 : EgressQueue::Gaps::kOnlyCounted) {}

void Egress::SetOwnValve(std::shared_ptr<Valve> valve) {
  own_valve_ = std::move(valve);
}

void Egress::Afterwards::Run() {
  for (const std::shared_ptr<Valve>& valve : resume) valve->Resume();
  if (start_clock) start_clock->StartStallClock();
}

void Egress::Offer(const ChunkRef& chunk, absl::Span<const Slice> slices,
                   const std::shared_ptr<Valve>& feeder, const Staged* staged) {
  Afterwards afterwards;
  {
    MutexLock lock(mutex_);
    if (!sink_) return;
    size_t written = 0;
    if (queue_.empty()) {
      written = WriteNow(slices, staged);
      if (written == TotalBytes(slices)) return;
    }
    QueueRest(chunk, slices, written);
    LimitQueue(feeder, afterwards);
  }
  afterwards.Run();
}

Egress::ControlOutcome Egress::OfferControl(std::string_view frame) {
  MutexLock lock(mutex_);
  if (!sink_) return ControlOutcome::kClosed;
  if (queue_.control_bytes() > queue_bytes_max_) return ControlOutcome::kFull;
  const Slice whole{frame.data(), frame.size()};
  size_t written = 0;
  if (queue_.empty()) {
    written = WriteNow({&whole, 1}, nullptr);
    if (written == frame.size()) return ControlOutcome::kQueued;
  }
  ChunkRef chunk = Chunk::Make(frame.size());
  std::memcpy(chunk->bytes(), frame.data(), frame.size());
  const Slice kept{chunk->bytes(), frame.size()};
  queue_.Push(QueuedAs::kControl, std::move(chunk), kept, written);
  return ControlOutcome::kQueued;
}

void Egress::ReaderLeft() {
  Afterwards afterwards;
  {
    MutexLock lock(mutex_);
    if (!sink_) return;
    reader_gone_ = true;
    if (!paused_.empty()) Stall(afterwards);
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

void Egress::Close() {
  Afterwards afterwards;
  {
    MutexLock lock(mutex_);
    sink_.reset();
    afterwards.resume.swap(paused_);
    queue_.Clear();
  }
  afterwards.Run();
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
    clock_runs_ = false;
    if (!sink_ || paused_.empty()) return;
    if (clock_spell_ == spell_) {
      Stall(afterwards);
    } else {
      clock_runs_ = true;
      clock_spell_ = spell_;
      afterwards.start_clock = sink_;
    }
  }
  afterwards.Run();
}

Egress::State Egress::state() const {
  MutexLock lock(mutex_);
  return {queue_.bytes(), queue_.dropped(), stalled_, reader_gone_};
}

size_t Egress::WriteNow(absl::Span<const Slice> slices, const Staged* staged) {
  if (reader_gone_) return 0;
  const SinkResult result = sink_->Write(slices, staged);
  if (result.outcome == SinkOutcome::kNoReader) reader_gone_ = true;
  return result.bytes_taken;
}

// Small rests are copied into one chunk of their own, so that a slow subscriber
// of small messages does not pin a large chunk for each of them.
void Egress::QueueRest(const ChunkRef& chunk, absl::Span<const Slice> slices,
                       size_t written) {
  while (!slices.empty() && written >= slices.front().size) {
    written -= slices.front().size;
    slices.remove_prefix(1);
  }
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

void Egress::Drain(Afterwards& afterwards) {
  std::array<Slice, kDrainSlices> slices;
  while (!queue_.empty() && !reader_gone_) {
    const size_t count = queue_.Peek(absl::MakeSpan(slices));
    const absl::Span<const Slice> next(slices.data(), count);
    const size_t total = TotalBytes(next);
    const size_t written = WriteNow(next, nullptr);
    queue_.Consume(written);
    if (written < total) break;
  }
  if (queue_.bytes() < queue_bytes_max_ / 2) {
    ++spell_;
    stalled_ = false;
    afterwards.resume.swap(paused_);
  }
}

void Egress::LimitQueue(const std::shared_ptr<Valve>& feeder,
                        Afterwards& afterwards) {
  if (queue_.bytes() <= queue_bytes_max_) return;
  if (stalled_) {
    MakeRoom();
  } else if (reader_gone_ || feeder == nullptr || feeder == own_valve_) {
    Stall(afterwards);
  } else {
    PauseFeeder(feeder, afterwards);
  }
}

void Egress::PauseFeeder(const std::shared_ptr<Valve>& feeder,
                         Afterwards& afterwards) {
  if (std::find(paused_.begin(), paused_.end(), feeder) == paused_.end()) {
    paused_.push_back(feeder);
    feeder->Pause();
  }
  if (clock_runs_) return;
  clock_runs_ = true;
  clock_spell_ = spell_;
  afterwards.start_clock = sink_;
}

void Egress::Stall(Afterwards& afterwards) {
  stalled_ = true;
  counters_.egress_stalls.Add();
  afterwards.resume.swap(paused_);
  MakeRoom();
}

void Egress::MakeRoom() {
  counters_.messages_dropped.Add(queue_.DropOldest(queue_bytes_max_));
}

}  // namespace fifobus
