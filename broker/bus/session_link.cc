#include "broker/bus/session_link.h"

#include <utility>

#include "broker/base/check.h"
#include "broker/base/clock.h"
#include "broker/base/log.h"
#include "broker/core/delivery/egress_transfer.h"
#include "broker/core/sessions/session_transfer.h"
#include "broker/io/fifo.h"

namespace fifobus {
namespace {

// How often a session that has left looks whether its last answers are read.
constexpr absl::Duration kReadPoll = absl::Milliseconds(5);

// In the place of an ingress that was closed before an upgrade: what is still
// published for its session waits for nobody, as with one that is closed.
class ClosedIngress : public Valve {
 public:
  void Pause() override {}
  void Resume() override {}
};

}  // namespace

absl::StatusOr<std::shared_ptr<SessionLink>> SessionLink::Open(
    uint64_t number, BusParts& parts, Worker& worker, UniqueFd up,
    UniqueFd down, std::function<void(uint64_t)> on_end) {
  const uid_t owner = FifoOwner(up.get());
  auto link = std::shared_ptr<SessionLink>(
      new SessionLink(number, parts, worker, std::move(down),
                      parts.egress_ids.Acquire(), std::move(on_end)));
  absl::Status status = link->OpenUp(std::move(up));
  if (status.ok()) {
    link->session_.SetOwner(owner);
    link->SetCallbacks();
    status = link->OpenDown();
  }
  if (!status.ok()) {
    link->End();
    return status;
  }
  parts.counters.sessions_opened.Add();
  return link;
}

SessionLink::SessionLink(uint64_t number, BusParts& parts, Worker& worker,
                         UniqueFd down, uint32_t egress_id,
                         std::function<void(uint64_t)> on_end)
    : number_(number),
      parts_(parts),
      worker_(worker),
      on_end_(std::move(on_end)),
      down_(EgressPipe::Make(worker, std::move(down), parts.options,
                             &parts.pipe_growth)),
      egress_(std::make_shared<Egress>(egress_id, EgressFormat::kFrames,
                                       parts.options, down_, parts.counters)),
      session_(
          number,
          SessionContext{parts.options, parts.table, parts.RouterOf(worker),
                         parts.counters, *parts.stats, parts.on_subscribed,
                         parts.retained, *parts.groups, parts.publishers,
                         static_cast<size_t>(worker.index())},
          egress_) {}

absl::Status SessionLink::OpenUp(UniqueFd up) {
  auto opened =
      IngressPipe::Open(worker_, std::move(up), IngressPipe::Gate::kOpen,
                        session_, parts_.half_received, &parts_.pipe_growth,
                        parts_.options, [this] { OnUpClosed(); });
  if (!opened.ok()) return opened.status();
  up_ = *std::move(opened);
  session_.SetValve(up_);
  return absl::OkStatus();
}

absl::Status SessionLink::OpenDown() {
  return down_->Open(egress_, [this] { OnNoReader(); });
}

void SessionLink::SetCallbacks() {
  session_.SetOnAnswers([this](FeedOutcome outcome) { OnAnswers(outcome); });
  session_.SetFence(
      [&worker = worker_, weak = weak_from_this()](std::string text) {
        worker.loop().Post([weak, text = std::move(text)] {
          if (const auto self = weak.lock()) self->OnFenced(text);
        });
      });
}

absl::StatusOr<std::shared_ptr<SessionLink>> SessionLink::Restore(
    const pb::state::SessionLink& state, BusParts& parts, Worker& worker,
    const StateChunks& chunks, StateIngresses& ingresses,
    std::function<void(uint64_t)> on_end) {
  auto link = std::shared_ptr<SessionLink>(new SessionLink(
      state.number(), parts, worker, UniqueFd(state.down().pipe_fd()),
      state.egress().id(), std::move(on_end)));
  absl::Status status;
  if (state.has_up()) {
    status = link->OpenUp(UniqueFd(state.up().pipe_fd()));
    if (!status.ok()) {
      link->End();
      return status;
    }
    link->up_->Restore(state.up(), chunks);
    link->AddIngress(ingresses);
  } else {
    link->up_closed_ = true;
    link->session_.SetValve(std::make_shared<ClosedIngress>());
  }
  link->SetCallbacks();
  link->down_->Restore(state.down());
  link->too_slow_ = state.too_slow();
  link->finished_ = state.finished();
  if (state.has_end_by_nanos()) {
    link->end_by_ = absl::Nanoseconds(state.end_by_nanos());
  }
  EgressTransfer::Restore(state.egress(), chunks, ingresses, link->egress_);
  SessionTransfer::Restore(state.session(), chunks, link->session_);
  status = link->OpenDown();
  if (!status.ok()) {
    link->End();
    return status;
  }
  link->GoOn();
  return link;
}

void SessionLink::GoOn() {
  worker_.loop().Post([weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self || self->ended()) return;
    if (SessionTransfer::Resume(self->session_) == FeedOutcome::kClose) {
      self->End();
    } else if (!self->up_closed_) {
      return;
    } else if (self->finished_) {
      self->EndWhenRead();
    } else {
      self->FinishAnswers();
    }
  });
}

pb::state::SessionLink SessionLink::Export(
    StateChunks& chunks, const StateIngresses& ingresses) const {
  FIFOBUS_CHECK(!ended() && !stopping_);
  pb::state::SessionLink state;
  state.set_number(number_);
  if (up_ && !up_->closed()) *state.mutable_up() = up_->Export(chunks);
  *state.mutable_down() = down_->Export();
  *state.mutable_egress() = EgressTransfer::Export(*egress_, chunks, ingresses);
  *state.mutable_session() = SessionTransfer::Export(session_, chunks);
  state.set_too_slow(too_slow_);
  state.set_finished(finished_);
  if (end_by_ != absl::InfiniteDuration()) {
    state.set_end_by_nanos(absl::ToInt64Nanoseconds(end_by_));
  }
  return state;
}

void SessionLink::AddIngress(StateIngresses& ingresses) const {
  if (up_ && !up_->closed()) ingresses.Add(number_, up_);
}

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
