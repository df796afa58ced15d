#include "broker/io/ingress_pipe.h"

#include <sched.h>
#include <sys/epoll.h>

#include <algorithm>
#include <climits>
#include <utility>

#include "broker/base/check.h"
#include "broker/io/fifo.h"
#include "broker/seam/state_chunks.h"
#include "broker/state/delivery_state.pb.h"

namespace fifobus {
namespace {

// What a pipe holds that nobody has resized: pipe(7). A read of so much found
// it full.
constexpr size_t kFullPipeBytes = size_t{64} << 10;

// What is gathered of small writes before it is passed on: as much as one large
// read would bring anyhow. Not tuned.
constexpr size_t kGatheredBytesMax = size_t{16} << 10;

// So many gathering reads may find nothing before gathering ends.
constexpr int kGatheringPatience = 2;

// One in so many lone reads is followed by another, to see whether gathering
// would pay. Not tuned.
constexpr unsigned kLoneReadsPerProbe = 16;

}  // namespace

absl::StatusOr<std::shared_ptr<IngressPipe>> IngressPipe::Open(
    Worker& worker, UniqueFd fd, Gate gate, Feed& feed,
    HalfReceived& half_received, PipeGrowth* growth,
    const BrokerOptions& options, std::function<void()> on_closed) {
  FIFOBUS_CHECK(worker.IsCurrent());
  auto pipe = std::shared_ptr<IngressPipe>(
      new IngressPipe(worker, std::move(fd), gate, feed, half_received, growth,
                      options, std::move(on_closed)));
  auto registration =
      worker.loop().Add(pipe->fd_.get(), EPOLLIN, *pipe, pipe->trigger_);
  if (!registration.ok()) return registration.status();
  pipe->registration_ = *registration;
  worker.loop().Ready(pipe->registration_);
  return pipe;
}

IngressPipe::IngressPipe(Worker& worker, UniqueFd fd, Gate gate, Feed& feed,
                         HalfReceived& half_received, PipeGrowth* growth,
                         const BrokerOptions& options,
                         std::function<void()> on_closed)
    : worker_(worker),
      fd_(std::move(fd)),
      gate_(gate),
      feed_(feed),
      half_received_(half_received),
      round_bytes_max_(options.round_bytes_max),
      growing_(growth, PipeUse::kIngress),
      crowded_chunk_bytes_(options.crowded_chunk_bytes),
      on_closed_(std::move(on_closed)),
      by_level_(gate == Gate::kOpen),
      trigger_(by_level_ ? EventLoop::Trigger::kLevel
                         : EventLoop::Trigger::kEdge),
      rest_(options.chunk_bytes) {}

IngressPipe::~IngressPipe() { FIFOBUS_CHECK(registration_.generation == 0); }

void IngressPipe::Pause() { pauses_.fetch_add(1); }

void IngressPipe::Resume() {
  // The edge that told of the bytes is long consumed: a turn must be asked for.
  if (pauses_.fetch_sub(1) == 1) PostTurn();
}

void IngressPipe::Nudge() { PostTurn(); }

void IngressPipe::PostTurn() {
  worker_.loop().Post([weak = weak_from_this()] {
    const std::shared_ptr<IngressPipe> pipe = weak.lock();
    if (pipe) pipe->worker_.loop().Ready(pipe->registration_);
  });
}

void IngressPipe::FinishAndClose() {
  FIFOBUS_CHECK(worker_.IsCurrent());
  finishing_ = true;
  worker_.loop().Ready(registration_);
}

void IngressPipe::Close() {
  FIFOBUS_CHECK(worker_.IsCurrent());
  if (closed()) return;
  worker_.loop().Remove(fd_.get(), registration_);
  fd_.Reset();
  growing_.GiveBack();
  ForgetRest();
  std::exchange(on_closed_, nullptr)();
}

size_t IngressPipe::unread_bytes() const {
  return closed() ? 0 : UnreadBytes(fd_.get()) + rest_.bytes();
}

bool IngressPipe::HasWriter() const { return fifobus::HasWriter(fd_.get()); }

pb::state::IngressPipe IngressPipe::Export(StateChunks& chunks) const {
  FIFOBUS_CHECK(!closed());
  pb::state::IngressPipe state;
  state.set_pipe_fd(fd_.get());
  *state.mutable_rest() = rest_.Export(chunks);
  state.set_finishing(finishing_);
  state.set_grown_bytes(growing_.taken_bytes());
  return state;
}

// The limit of half-received bytes is the same, so it is kept.
void IngressPipe::Restore(const pb::state::IngressPipe& state,
                          const StateChunks& chunks) {
  FIFOBUS_CHECK(worker_.IsCurrent());
  rest_.Restore(state.rest(), chunks);
  (void)half_received_.Change(0, rest_.bytes());
  finishing_ = state.finishing();
  growing_.TakeOver(state.grown_bytes());
}

void IngressPipe::OnEvents(uint32_t) { worker_.loop().Ready(registration_); }

void IngressPipe::OnTurn() {
  const std::shared_ptr<IngressPipe> self = shared_from_this();
  size_t budget = round_bytes_max_;
  for (int reads = 1; MayRead(); ++reads) {
    if (budget == 0) {
      worker_.loop().Ready(registration_);
      return;
    }
    if (ReadOnce(budget) != Step::kRead) return;
    if (reads > 1) gathering_ = kGatheringPatience;
  }
}

bool IngressPipe::MayRead() {
  if (worker_.IsHeld(registration_) || pauses_.load() > 0) {
    Watch(EventLoop::Trigger::kEdge);
    return false;
  }
  if (by_level_) Watch(EventLoop::Trigger::kLevel);
  if (gate_ == Gate::kOpen || finishing_) return true;
  const size_t unread = UnreadBytes(fd_.get());
  if (unread == 0) {
    // A read would also take what comes just now and was not admitted.
    if (IsHungUp(fd_.get())) (void)HangUp();
    return false;
  }
  if (feed_.Admit(unread, PipeBytes(fd_.get())) == Feed::Admission::kRead) {
    return true;
  }
  TellIfWritersLeft();
  return false;
}

void IngressPipe::TellIfWritersLeft() {
  if (!LacksWriter(fd_.get())) return;
  const size_t unread = UnreadBytes(fd_.get());
  // One that has come meanwhile may not have written all.
  if (LacksWriter(fd_.get())) feed_.OnWritersLeft(unread);
}

void IngressPipe::Watch(EventLoop::Trigger trigger) {
  if (std::exchange(trigger_, trigger) == trigger) return;
  worker_.loop().Change(fd_.get(), EPOLLIN, registration_, trigger);
}

IngressPipe::Step IngressPipe::ReadOnce(size_t& budget) {
  const size_t before = rest_.bytes();
  const ChunkRef chunk = ChunkForReading();
  const ReadResult read = ReadFifo(fd_.get(), chunk->bytes() + before,
                                   RoomForReading(*chunk.get()));
  if (read.outcome != ReadOutcome::kBytes) return OnNothingRead(read.outcome);
  if (read.bytes >= kFullPipeBytes)
    growing_.OnFull(fd_.get(), rest_.wanted_bytes());
  size_t bytes = before + read.bytes;
  const ReadOutcome last =
      gathering_ > 0 ? Gather(chunk, bytes) : ReadOutcome::kBytes;
  budget -= std::min(budget, bytes - before);
  const Step step = Pass(chunk, bytes);
  if (step == Step::kClosed) return step;
  if (last != ReadOutcome::kBytes) return OnNothingRead(last);
  return ProbablyEmpty(read.bytes) ? Step::kEmpty : Step::kRead;
}

// Several small writes of a publisher that is ahead of this worker then cost
// each subscriber one write and one wake-up. In between others have their turn:
// a publisher that shares the core writes on, and each read finds more.
ReadOutcome IngressPipe::Gather(const ChunkRef& chunk, size_t& bytes) {
  --gathering_;
  while (bytes < kGatheredBytesMax &&
         chunk->capacity() - bytes >= kFullPipeBytes) {
    sched_yield();
    const ReadResult read =
        ReadFifo(fd_.get(), chunk->bytes() + bytes, chunk->capacity() - bytes);
    if (read.outcome != ReadOutcome::kBytes) return read.outcome;
    bytes += read.bytes;
    gathering_ = kGatheringPatience;
  }
  return ReadOutcome::kBytes;
}

bool IngressPipe::ProbablyEmpty(size_t bytes_read) {
  if (!by_level_ || finishing_ || bytes_read > PIPE_BUF) return false;
  return ++lone_reads_ % kLoneReadsPerProbe != 0;
}

IngressPipe::Step IngressPipe::OnNothingRead(ReadOutcome outcome) {
  if (outcome == ReadOutcome::kNoWriter || finishing_) return HangUp();
  return Step::kEmpty;
}

IngressPipe::Step IngressPipe::HangUp() {
  const FeedOutcome outcome = feed_.OnHangUp(rest_.rest());
  ForgetRest();
  if (outcome == FeedOutcome::kContinue && !finishing_) {
    by_level_ = false;  // the hang-up's level would last
    Watch(EventLoop::Trigger::kEdge);
    return Step::kEmpty;
  }
  Close();
  return Step::kClosed;
}

IngressPipe::Step IngressPipe::Pass(const ChunkRef& chunk, size_t bytes) {
  const size_t charged = rest_.bytes();
  const std::string_view all(chunk->bytes(), bytes);
  const FeedResult result = feed_.OnBytes(chunk, all);
  rest_.Keep(all.substr(result.bytes_taken), result.bytes_wanted);
  const HalfReceived::Verdict verdict =
      half_received_.Change(charged, rest_.bytes());
  if (result.outcome == FeedOutcome::kClose) {
    Close();
    return Step::kClosed;
  }
  if (verdict == HalfReceived::Verdict::kExceeded) {
    feed_.OnHalfReceivedLimit();
    Close();
    return Step::kClosed;
  }
  return Step::kRead;
}

ChunkRef IngressPipe::ChunkForReading() {
  if (rest_.is_assembling()) return rest_.Assembly();
  const ChunkRef& scratch = worker_.ScratchChunk();
  rest_.CopyTo(*scratch.get());
  return scratch;
}

size_t IngressPipe::RoomForReading(const Chunk& chunk) const {
  const size_t room = chunk.capacity() - rest_.bytes();
  if (rest_.is_assembling() || growing_.IsRoomy()) return room;
  const size_t usual =
      crowded_chunk_bytes_ - std::min(crowded_chunk_bytes_, rest_.bytes());
  return std::min(room, std::max(usual, kFullPipeBytes));
}

void IngressPipe::ForgetRest() {
  (void)half_received_.Change(rest_.bytes(), 0);
  rest_.Clear();
}

}  // namespace fifobus
