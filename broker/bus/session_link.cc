#include "broker/bus/session_link.h"

#include <utility>

#include "broker/base/clock.h"
#include "broker/base/log.h"
#include "broker/io/fifo.h"

namespace fifobus {
namespace {

// How often a session that has left looks whether its last answers are read.
constexpr absl::Duration kReadPoll = absl::Milliseconds(5);

}  // namespace

absl::StatusOr<std::shared_ptr<SessionLink>> SessionLink::Open(
    uint64_t number, BusParts& parts, Worker& worker, UniqueFd up,
    UniqueFd down, std::function<void(uint64_t)> on_end) {
  const uid_t owner = FifoOwner(up.get());
  auto link = std::shared_ptr<SessionLink>(new SessionLink(
      number, parts, worker, std::move(down), std::move(on_end)));
  auto opened = IngressPipe::Open(
      worker, std::move(up), IngressPipe::Gate::kOpen, link->session_,
      parts.half_received, &parts.pipe_growth, parts.options,
      [raw = link.get()] { raw->OnUpClosed(); });
  if (!opened.ok()) {
    link->End();
    return opened.status();
  }
  link->up_ = *std::move(opened);
  link->session_.SetValve(link->up_);
  link->session_.SetOwner(owner);
  link->session_.SetOnAnswers(
      [raw = link.get()](FeedOutcome outcome) { raw->OnAnswers(outcome); });
  link->session_.SetFence(
      [&worker, weak = link->weak_from_this()](std::string text) {
        worker.loop().Post([weak, text = std::move(text)] {
          if (const auto self = weak.lock()) self->OnFenced(text);
        });
      });
  const absl::Status status = link->down_->Open(
      link->egress_, [raw = link.get()] { raw->OnNoReader(); });
  if (!status.ok()) {
    link->End();
    return status;
  }
  parts.counters.sessions_opened.Add();
  return link;
}

SessionLink::SessionLink(uint64_t number, BusParts& parts, Worker& worker,
                         UniqueFd down, std::function<void(uint64_t)> on_end)
    : number_(number),
      parts_(parts),
      worker_(worker),
      on_end_(std::move(on_end)),
      down_(EgressPipe::Make(worker, std::move(down), parts.options,
                             &parts.pipe_growth)),
      egress_(std::make_shared<Egress>(parts.egress_ids.Acquire(),
                                       EgressFormat::kFrames, parts.options,
                                       down_, parts.counters)),
      session_(
          number,
          SessionContext{parts.options, parts.table, parts.RouterOf(worker),
                         parts.counters, *parts.stats, parts.on_subscribed,
                         parts.retained, *parts.groups, parts.publishers,
                         static_cast<size_t>(worker.index())},
          egress_) {}

void SessionLink::OnRules() {
  if (session_.OnRules() == FeedOutcome::kClose) End();
}

void SessionLink::BeginStop() {
  stopping_ = true;
  session_.SayGoodbye("the broker is stopping");
}

void SessionLink::OnUpClosed() {
  up_closed_ = true;
  FinishAnswers();
}

void SessionLink::OnFenced(std::string text) {
  if (!on_end_) return;
  if (session_.OnFenced(std::move(text)) == FeedOutcome::kClose) End();
}

void SessionLink::OnAnswers(FeedOutcome outcome) {
  if (outcome == FeedOutcome::kClose) {
    End();
  } else if (up_closed_) {
    FinishAnswers();
  }
}

void SessionLink::FinishAnswers() {
  if (!on_end_) return;
  const bool refused = !session_.end_reason().empty();
  if (session_.HasPendingAnswers() && !refused && !down_->LacksReader()) {
    session_.Leave();  // it may take long
    return;
  }
  finished_ = true;
  if (stopping_) return;
  end_by_ = MonotonicNow() + parts_.options.drain_timeout;
  EndWhenRead();
}

void SessionLink::EndWhenRead() {
  if (!on_end_) return;
  if (!session_.HasWaitedForAnswers() || queued_bytes() == 0 ||
      down_->LacksReader() || MonotonicNow() >= end_by_) {
    return End();
  }
  worker_.loop().RunAfter(kReadPoll, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->EndWhenRead();
  });
}

void SessionLink::OnNoReader() {
  too_slow_ = egress_->state().ending;
  session_.EndSubscriptions();
  if (up_closed_) return End();
  up_->FinishAndClose();
}

void SessionLink::End() {
  if (!on_end_) return;
  // The pipes, the session and this object end after the call that led here.
  const auto self = shared_from_this();
  const auto on_end = std::exchange(on_end_, nullptr);
  finished_ = true;
  session_.EndSubscriptions();
  session_.EndMemberships();
  if (up_) up_->Close();
  down_->Close();
  parts_.egress_ids.GiveBack(egress_->id());
  parts_.counters.sessions_closed.Add();
  const std::string reason =
      too_slow_ ? "too slow, and its overflow policy is disconnect"
                : session_.end_reason();
  if (!stopping_) session_.PublishEnd(reason);
  session_.Release();
  if (reason.empty()) {
    LogDebug("session closed",
             {{"number", number_}, {"client", session_.ClientText()}});
  } else {
    LogWarning("session closed by the broker",
               {{"number", number_},
                {"client", session_.ClientText()},
                {"reason", reason}});
  }
  worker_.loop().Post([self, on_end] { on_end(self->number_); });
}

void SessionLink::AppendStats(pb::StatsReply& reply) const {
  session_.AppendStats(reply);
}

}  // namespace fifobus
