#include "broker/bus/tap_ends.h"

#include <utility>

#include "broker/core/routing/subscribe_with_retained.h"
#include "broker/io/fifo.h"

namespace fifobus {
namespace {

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

}  // namespace

absl::StatusOr<std::unique_ptr<TapIn>> TapIn::Open(
    const std::string& topic, BusParts& parts, Worker& worker, UniqueFd fd,
    std::function<void()> before_routing) {
  auto tap = std::unique_ptr<TapIn>(new TapIn(
      topic, FifoOwner(fd.get()), parts, worker, std::move(before_routing)));
  auto pipe = IngressPipe::Open(
      worker, std::move(fd), IngressPipe::Gate::kAsksFeed, tap->feed_,
      parts.half_received, nullptr, parts.options, [] {});
  if (!pipe.ok()) return pipe.status();
  tap->pipe_ = *std::move(pipe);
  tap->feed_.SetValve(tap->pipe_);
  return tap;
}

TapIn::TapIn(const std::string& topic, uint32_t owner, BusParts& parts,
             Worker& worker, std::function<void()> before_routing)
    : feed_(topic, owner, parts.options, parts.RouterOf(worker), parts.counters,
            std::move(before_routing)) {}

TapIn::~TapIn() {
  if (pipe_) pipe_->Close();
}

absl::StatusOr<std::unique_ptr<TapOut>> TapOut::Open(const std::string& topic,
                                                     const std::string& name,
                                                     BusParts& parts,
                                                     Worker& worker,
                                                     UniqueFd fd) {
  auto tap = std::unique_ptr<TapOut>(
      new TapOut(topic, name, parts, worker, std::move(fd)));
  const absl::Status status =
      tap->pipe_->Open(tap->egress_, [raw = tap.get()] { raw->OnNoReader(); });
  if (!status.ok()) return status;
  tap->OnNoReader();
  SubscribeWithRetained(parts.retained, parts.table, topic, tap->egress_);
  return tap;
}

TapOut::TapOut(const std::string& topic, const std::string& name,
               BusParts& parts, Worker& worker, UniqueFd fd)
    : topic_(topic),
      owner_(FifoOwner(fd.get())),
      parts_(parts),
      pipe_(EgressPipe::Make(worker, std::move(fd), parts.options,
                             &parts.pipe_growth)),
      egress_(std::make_shared<Egress>(parts.egress_ids.Acquire(),
                                       FormatOf(name), parts.options, pipe_,
                                       parts.counters)) {
  egress_->SetTap();
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
