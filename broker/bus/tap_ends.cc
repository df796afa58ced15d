#include "broker/bus/tap_ends.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "broker/core/delivery/egress_transfer.h"
#include "broker/core/routing/subscribe_with_retained.h"
#include "broker/io/fifo.h"
#include "proto/frame.h"

namespace fifobus {
namespace {

// What was lost is not known.
constexpr std::string_view kReconnectedLine =
    "{\"gap\":{\"reason\":\"reconnected\"}}\n";

EgressFormat FormatOf(const std::string& name) {
  if (name.ends_with(".json")) return EgressFormat::kJson;
  if (name.ends_with(".frames")) return EgressFormat::kFrames;
  return EgressFormat::kText;
}

// A tap has one topic: its latest value is its newest line.
OverflowPolicy PolicyOf(const std::string& topic, const BusParts& parts) {
  OverflowPolicy policy = parts.table.snapshot()->rules().PolicyOf(
      topic, UsualPolicy(parts.options));
  if (policy.overflow == Overflow::kLatest) {
    policy.overflow = Overflow::kDropOldest;
    policy.limits.messages_max = 1;
  }
  return policy;
}

uint64_t CountLines(std::string_view text) {
  return static_cast<uint64_t>(std::count(text.begin(), text.end(), '\n'));
}

// Whole Message frames, up to the first that is cut.
uint64_t CountMessages(std::string_view frames) {
  uint64_t messages = 0;
  while (!frames.empty()) {
    const FrameExtent extent = FindFrame(frames, frames.size());
    if (extent.state != FrameExtent::State::kWhole) break;
    const std::string_view frame = frames.substr(0, extent.frame_bytes);
    if (ReadWholeFrame(frame).kind == FrameKind::kMessage) ++messages;
    frames.remove_prefix(extent.frame_bytes);
  }
  return messages;
}

}  // namespace

absl::StatusOr<std::unique_ptr<TapIn>> TapIn::Open(
    const std::string& topic, BusParts& parts, Worker& worker, UniqueFd fd,
    std::function<void()> before_routing, std::function<void()> on_closed) {
  auto tap = std::unique_ptr<TapIn>(
      new TapIn(topic, parts, worker, fd.get(), std::move(before_routing)));
  auto pipe = IngressPipe::Open(
      worker, std::move(fd), IngressPipe::Gate::kAsksFeed, tap->feed_,
      parts.half_received, nullptr, parts.options, std::move(on_closed));
  if (!pipe.ok()) return pipe.status();
  tap->pipe_ = *std::move(pipe);
  // Without a broker lines may have been written here. If their writers have
  // left, the pipe is to say so, or the last would wait for a newline.
  if (tap->pipe_->unread_bytes() > 0) (void)tap->pipe_->HasWriter();
  tap->feed_.SetValve(tap->pipe_);
  return tap;
}

absl::StatusOr<std::unique_ptr<TapIn>> TapIn::Restore(
    const pb::state::TapIn& state, const StateChunks& chunks, BusParts& parts,
    Worker& worker, std::function<void()> before_routing,
    std::function<void()> on_closed) {
  auto tap =
      Open(state.topic(), parts, worker, UniqueFd(state.pipe().pipe_fd()),
           std::move(before_routing), std::move(on_closed));
  if (!tap.ok()) return tap.status();
  (*tap)->pipe_->Restore(state.pipe(), chunks);
  (*tap)->feed_.Restore(state, (*tap)->pipe_->rest_bytes());
  return tap;
}

void TapIn::Export(StateChunks& chunks, pb::state::TapIn& state) const {
  feed_.Export(state);
  *state.mutable_pipe() = pipe_->Export(chunks);
}

TapIn::TapIn(const std::string& topic, BusParts& parts, Worker& worker, int fd,
             std::function<void()> before_routing)
    : router_(parts.RouterOf(worker)),
      identity_(IdentityOf(fd)),
      feed_(topic, FifoOwner(fd), parts.options, router_, parts.counters,
            std::move(before_routing)) {}

TapIn::~TapIn() {
  if (pipe_) pipe_->Close();
}

bool TapIn::IsClaimed() {
  return router_.HasSubscriber(topic()) || router_.IsKept(topic());
}

void TapIn::Finish() {
  if (finished()) return;
  if (!IsClaimed() && !finishing_unclaimed_) {
    finishing_unclaimed_ = true;
    lines_before_ = feed_.lines();
  }
  pipe_->FinishAndClose();
}

void TapIn::FinishOrLeave() {
  is_left_ = !pipe_->closed() && pipe_->unread_bytes() > 0 && !IsClaimed() &&
             pipe_->HasWriter();
  Finish();
}

absl::StatusOr<std::unique_ptr<TapOut>> TapOut::Open(
    const std::string& topic, const std::string& name, BusParts& parts,
    Worker& worker, UniqueFd fd, Stream stream) {
  auto tap = std::unique_ptr<TapOut>(new TapOut(
      topic, name, parts, worker, std::move(fd), parts.egress_ids.Acquire()));
  const absl::Status status =
      tap->pipe_->Open(tap->egress_, [raw = tap.get()] { raw->OnNoReader(); });
  if (!status.ok()) return status;
  tap->OnNoReader();
  if (stream == Stream::kGoesOn) tap->GoOn();
  SubscribeWithRetained(parts.retained, parts.table, topic, tap->egress_);
  return tap;
}

absl::StatusOr<std::unique_ptr<TapOut>> TapOut::Restore(
    const pb::state::TapOut& state, const StateChunks& chunks,
    StateIngresses& ingresses, BusParts& parts, Worker& worker) {
  auto tap = std::unique_ptr<TapOut>(
      new TapOut(state.topic(), state.path(), parts, worker,
                 UniqueFd(state.pipe().pipe_fd()), state.egress().id()));
  const absl::Status status =
      tap->pipe_->Open(tap->egress_, [raw = tap.get()] { raw->OnNoReader(); });
  if (!status.ok()) return status;
  tap->pipe_->Restore(state.pipe());
  EgressTransfer::Restore(state.egress(), chunks, ingresses, tap->egress_);
  parts.table.Add(tap->topic_, tap->egress_);
  return tap;
}

void TapOut::Export(StateChunks& chunks, const StateIngresses& ingresses,
                    pb::state::TapOut& state) const {
  state.set_topic(topic_);
  *state.mutable_pipe() = pipe_->Export();
  *state.mutable_egress() = EgressTransfer::Export(*egress_, chunks, ingresses);
}

TapOut::TapOut(const std::string& topic, const std::string& name,
               BusParts& parts, Worker& worker, UniqueFd fd, uint32_t egress_id)
    : topic_(topic),
      identity_(IdentityOf(fd.get())),
      owner_(FifoOwner(fd.get())),
      parts_(parts),
      pipe_(EgressPipe::Make(worker, std::move(fd), parts.options,
                             &parts.pipe_growth)),
      egress_(std::make_shared<Egress>(egress_id, FormatOf(name), parts.options,
                                       pipe_, parts.counters)) {
  egress_->SetTap();
  if (parts.options.kept && egress_->format() != EgressFormat::kFrames) {
    pipe_->WriteWholeOnes();
  }
  egress_->SetPolicy(PolicyOf(topic, parts));
}

TapOut::~TapOut() {
  parts_.table.Remove(topic_, egress_->id());
  egress_->Close();
  pipe_->Close();
  parts_.egress_ids.GiveBack(egress_->id());
}

bool TapOut::IsAllowed() const {
  return parts_.table.snapshot()->rules().MaySubscribe(owner_, topic_);
}

uint64_t TapOut::TakeUnread() {
  if (!pipe_->LacksReader()) return 0;
  const EgressState state = egress_->state();
  const std::string unread = pipe_->TakeUnread();
  const uint64_t in_pipe = egress_->format() == EgressFormat::kFrames
                               ? CountMessages(unread)
                               : CountLines(unread);
  // A message may have several lines.
  return state.queued_messages + std::min(in_pipe, state.delivered);
}

// A long line may have been cut. A `.frames` is no concern of the keeper, so its
// reader has met the end.
void TapOut::GoOn() {
  if (egress_->format() == EgressFormat::kFrames) return;
  std::string lines;
  if (pipe_->NewestUnreadByte().value_or('\n') != '\n') lines += '\n';
  if (egress_->format() == EgressFormat::kJson) lines += kReconnectedLine;
  if (!lines.empty()) (void)egress_->OfferControl(lines);
}

void TapOut::OnOpened() {
  if (!pipe_->LacksReader()) egress_->ReaderCame();
}

// The event may be older than a reader who came since, and whose opening was
// reported first; so the pipe is asked after the egress was told.
void TapOut::OnNoReader() {
  egress_->ReaderLeft();
  OnOpened();
}

}  // namespace fifobus
