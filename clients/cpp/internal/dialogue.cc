#include "clients/cpp/internal/dialogue.h"

#include <utility>

#include "absl/time/clock.h"
#include "clients/cpp/internal/receive_buffer.h"
#include "fmt/format.h"
#include "proto/frame_writer.h"

namespace fifobus {
namespace {

template <typename Control>
Control Parse(const FrameView& view) {
  Control control;
  (void)control.ParseFromArray(view.member.data(),
                               static_cast<int>(view.member.size()));
  return control;
}

absl::Status StatusOf(const pb::Error& error) {
  const std::string text = fmt::format("the broker refused: {}", error.text());
  switch (error.code()) {
    case pb::Error::CODE_OVERFLOW:
      return absl::ResourceExhaustedError(fmt::format(
          "the broker ended the session, because this client was too slow and "
          "had asked for that: {}",
          error.text()));
    case pb::Error::CODE_DENIED:
      return absl::PermissionDeniedError(text);
    case pb::Error::CODE_LIMIT:
      return absl::ResourceExhaustedError(text);
    default:
      return absl::FailedPreconditionError(text);
  }
}

}  // namespace

void Dialogue::OnSessionBegun() {
  sessions_begun_ = connection_->sessions();
  for (Subscriptions::Subscription& subscription : subscriptions_.all()) {
    SendSubscribe(subscription);
  }
}

void Dialogue::Send(const pb::Frame& frame) {
  if (connection_->state() != Connection::State::kOpen) return;
  AppendFrame(frame, connection_->out());
  FlushWithoutWaiting();
}

void Dialogue::SendSubscribe(Subscriptions::Subscription& subscription) {
  Send(Subscriptions::Ask(subscription, NextId()));
}

void Dialogue::FlushWithoutWaiting() {
  if (connection_->unwritten() > 0 && !batching()) Write();
}

void Dialogue::Write() {
  std::string_view nothing;
  const bool rest =
      connection_->Flush(nothing) == Connection::FlushOutcome::kWouldBlock;
  connection_->WatchRoom(rest);
}

absl::Status Dialogue::WaitFor(absl::FunctionRef<bool()> done,
                               absl::Duration timeout, std::string_view what) {
  const absl::Time deadline = absl::Now() + timeout;
  while (true) {
    Progress();
    Scan();
    if (done()) {
      // Messages may have come with the answer.
      if (!connection_->in().untaken().empty()) connection_->Nudge(true);
      return absl::OkStatus();
    }
    if (connection_->state() == Connection::State::kFailed) return status();
    if (absl::Now() >= deadline) {
      const std::string_view why(status().message().data(),
                                 status().message().size());
      return absl::DeadlineExceededError(fmt::format(
          "{} did not come in {}{}{}", what, absl::FormatDuration(timeout),
          why.empty() ? "" : "; ", why));
    }
    // What a batch holds comes before the question.
    if (connection_->unwritten() > 0) Write();
    if (connection_->Read() != Connection::ReadOutcome::kBytes) {
      connection_->Wait(deadline);
    }
  }
}

absl::StatusOr<pb::Frame> Dialogue::Ask(const pb::Frame& question, uint64_t id,
                                        absl::Duration timeout,
                                        std::string_view what) {
  const absl::Time deadline = absl::Now() + timeout;
  const absl::Status open =
      WaitFor([&] { return connection_->state() == Connection::State::kOpen; },
              timeout, "a session");
  if (!open.ok()) return open;
  Send(question);
  return AwaitAnswer(id, deadline - absl::Now(), what);
}

absl::StatusOr<pb::Frame> Dialogue::AwaitAnswer(uint64_t id,
                                                absl::Duration timeout,
                                                std::string_view what) {
  const uint64_t ends = connection_->ends();
  awaited_id_ = id;
  answer_.reset();
  const absl::Status status = WaitFor(
      [&] { return answer_.has_value() || connection_->ends() != ends; },
      timeout, what);
  awaited_id_ = 0;
  if (answer_) {
    pb::Frame answer = *std::exchange(answer_, std::nullopt);
    if (answer.has_error()) return StatusOf(answer.error());
    return answer;
  }
  if (!status.ok()) return status;
  // The broker has said why, and there will be no other session.
  if (connection_->state() == Connection::State::kFailed) {
    return connection_->status();
  }
  return absl::UnavailableError(
      fmt::format("the session ended before {} came", what));
}

void Dialogue::ReadAhead() {
  if (connection_->Read() != Connection::ReadOutcome::kBytes) return;
  Scan();
  connection_->Nudge(true);
}

void Dialogue::Scan() {
  while (true) {
    // Asked anew each time: acting on a frame may end the session.
    ReceiveBuffer& in = connection_->in();
    const std::string_view bytes = in.unscanned();
    const FrameExtent extent = FindFrame(bytes, kFrameBytesMaxDefault);
    if (extent.state != FrameExtent::State::kWhole) {
      if (!in.IsScanned()) in.Want(extent.frame_bytes);
      return;
    }
    in.Scan(extent.frame_bytes);
    const FrameView view = ReadWholeFrame(bytes.substr(0, extent.frame_bytes));
    if (view.fault == FrameFault::kNone) OnScanned(view);
  }
}

void Dialogue::OnScanned(const FrameView& view) {
  if (view.kind != FrameKind::kMessage) {
    OnControl(view);
  } else if (requests_.awaiting()) {
    requests_.OnReadAhead(ReadMessage(view.member));
  }
}

// Gap, Delivery, and Confirm of a user's message stay to be received.
void Dialogue::OnControl(const FrameView& view) {
  switch (view.kind) {
    case FrameKind::kSubscribed: {
      const uint64_t id = Parse<pb::Subscribed>(view).request_id();
      subscriptions_.OnSubscribed(id);
      break;
    }
    case FrameKind::kUnsubscribed:
      OnAnswer(Parse<pb::Unsubscribed>(view).request_id(), view);
      break;
    case FrameKind::kPong:
      OnAnswer(Parse<pb::Pong>(view).token(), view);
      break;
    case FrameKind::kStatsReply:
      OnAnswer(Parse<pb::StatsReply>(view).request_id(), view);
      break;
    case FrameKind::kConfirm:
      OnConfirm(view);
      break;
    case FrameKind::kError:
      OnError(Parse<pb::Error>(view));
      break;
    case FrameKind::kGoodbye:
      connection_->OnGoodbye();
      break;
    default:
      break;
  }
}

void Dialogue::OnConfirm(const FrameView& view) {
  const auto confirm = Parse<pb::Confirm>(view);
  if (confirm.confirm_id() < kOwnConfirmIds) return;
  const uint64_t id = confirm.confirm_id() - kOwnConfirmIds;
  requests_.OnConfirm(id, confirm.sessions());
  OnAnswer(id, view);
}

void Dialogue::OnAnswer(uint64_t id, const FrameView& view) {
  if (id != awaited_id_) return;
  pb::Frame& answer = answer_.emplace();
  switch (view.kind) {
    case FrameKind::kUnsubscribed:
      *answer.mutable_unsubscribed() = Parse<pb::Unsubscribed>(view);
      break;
    case FrameKind::kPong:
      *answer.mutable_pong() = Parse<pb::Pong>(view);
      break;
    case FrameKind::kStatsReply:
      *answer.mutable_stats_reply() = Parse<pb::StatsReply>(view);
      break;
    default:
      *answer.mutable_confirm() = Parse<pb::Confirm>(view);
  }
}

void Dialogue::OnError(const pb::Error& error) {
  if (error.request_id() == 0) {
    connection_->OnFatalError(StatusOf(error),
                              error.code() == pb::Error::CODE_OVERFLOW
                                  ? Connection::Losses::kTold
                                  : Connection::Losses::kUnknown);
    return;
  }
  subscriptions_.OnRefused(error.request_id(), StatusOf(error));
  if (error.request_id() == awaited_id_)
    *answer_.emplace().mutable_error() = error;
}

void Dialogue::OnBadFrame(FrameFault fault) {
  connection_->OnFatalError(absl::DataLossError(
      fmt::format("the broker sent a bad frame: {}", FrameFaultText(fault))));
}

}  // namespace fifobus
