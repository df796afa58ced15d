#include "clients/cpp/internal/dialogue.h"

#include <utility>

#include "clients/cpp/internal/expiry.h"
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
    case pb::Error::CODE_BAD_START:
      return absl::OutOfRangeError(text);
    case pb::Error::CODE_LOG_FAILED:
      return absl::DataLossError(text);
    case pb::Error::CODE_FENCED:
      return absl::AbortedError(fmt::format(
          "another session has taken over from this client: {}", error.text()));
    default:
      return absl::FailedPreconditionError(text);
  }
}

}  // namespace

void Dialogue::OnSessionBegun() {
  sessions_begun_ = connection_->sessions();
  numbering_.OnMarks(connection_->publisher_marks());
  positions_.OnSessionBegun();
  for (Subscriptions::Subscription& subscription : subscriptions_.all()) {
    AppendFrame(Subscriptions::Ask(subscription, NextId()), connection_->out());
  }
  // Before anything newer, and behind the subscriptions, by which replies to
  // requests among it come.
  confirms_.SendAgain(sessions_begun_, taken_back_.frames(),
                      connection_->out());
  taken_back_.OnSent(connection_->resent_messages());
  if (connection_->unwritten() == 0) return;
  Write();  // also in a batch, which would leave the client deaf
}

void Dialogue::Connect() {
  connection_->set_resent_messages(
      taken_back_.messages() +
      confirms_.CountToSendAgain(taken_back_.confirm_ids()));
  connection_->Advance();
}

void Dialogue::OnRemains(Remains remains) {
  taken_back_.Take(std::move(remains));
  const uint64_t next = connection_->sessions() + 1;
  confirms_.Move(taken_back_.confirm_ids(), next);
  for (const uint64_t id : taken_back_.confirm_ids()) {
    if (id >= kOwnConfirmIds) requests_.Move(id - kOwnConfirmIds, next);
  }
}

void Dialogue::Forget() {
  if (std::exchange(forgotten_, true)) return;
  callers_.Forget();
  taken_back_.Clear();
  requests_ = Requests();
  confirms_ = Confirms();
  connection_->Forget();
}

void Dialogue::OnDownEnded() {
  Scan();
  connection_->OnDownEnded();
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
  if (WantsToWrite()) Write();
}

void Dialogue::SendPositions() {
  if (!positions_.has_acks() ||
      connection_->state() != Connection::State::kOpen) {
    return;
  }
  positions_.AppendAcks(connection_->out());
  FlushWithoutWaiting();
}

void Dialogue::Write() {
  std::string_view nothing;
  const bool rest =
      connection_->Flush(nothing) == Connection::FlushOutcome::kWouldBlock;
  connection_->WatchRoom(rest);
}

absl::Status Dialogue::WaitFor(absl::FunctionRef<bool()> done,
                               absl::Duration timeout, std::string_view what) {
  const Deadline deadline = timeout;
  while (true) {
    Progress();
    Scan();
    ShowReadAhead();
    if (done()) return absl::OkStatus();
    if (connection_->state() == Connection::State::kFailed) return status();
    if (deadline.HasCome()) {
      return absl::DeadlineExceededError(LateText(what, timeout));
    }
    if (connection_->unwritten() > 0) Write();
    switch (Read()) {
      case Connection::ReadOutcome::kBytes:
      case Connection::ReadOutcome::kEnd:
        break;
      case Connection::ReadOutcome::kNothing:
      case Connection::ReadOutcome::kFull:
        callers_.StayInside();
        connection_->Wait(deadline, connection_->unwritten() > 0
                                        ? Connection::Room::kWanted
                                        : Connection::Room::kUnwanted);
    }
  }
}

std::string Dialogue::LateText(std::string_view what,
                               absl::Duration timeout) const {
  std::string_view why(status().message().data(), status().message().size());
  if (connection_->AnswersMayCome() && connection_->in().full()) {
    why =
        "what was read ahead has reached receive_bytes_max, so that nothing "
        "more is read: take messages by Receive";
  }
  return fmt::format(
      "{} did not come in {}{}{}", what,
      absl::FormatDuration(absl::Ceil(timeout, absl::Milliseconds(1))),
      why.empty() ? "" : "; ", why);
}

void Dialogue::ShowReadAhead() {
  if (!connection_->in().untaken().empty() ||
      connection_->backlog() != nullptr || requests_.HasFailure()) {
    connection_->SetReadable(true);
  }
}

absl::StatusOr<pb::Frame> Dialogue::Ask(const pb::Frame& question, uint64_t id,
                                        absl::Duration timeout,
                                        std::string_view what) {
  const Deadline deadline = timeout;
  const absl::Status open =
      WaitFor([&] { return connection_->state() == Connection::State::kOpen; },
              timeout, "a session");
  if (!open.ok()) return open;
  Send(question);
  return AwaitAnswer(id, deadline.Rest(), what);
}

absl::StatusOr<pb::Frame> Dialogue::AwaitAnswer(uint64_t id,
                                                absl::Duration timeout,
                                                std::string_view what) {
  const uint64_t ends = connection_->ends();
  awaited_id_ = id;
  answer_.reset();
  const absl::Status status = WaitFor(
      [&] {
        return answer_.has_value() ||
               (connection_->ends() != ends && !IsToBeAnswered(id));
      },
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

Connection::ReadOutcome Dialogue::ReadAhead() {
  const Connection::ReadOutcome outcome = Read();
  if (outcome == Connection::ReadOutcome::kBytes) {
    Scan();
    ShowReadAhead();
  }
  return outcome;
}

void Dialogue::Scan() {
  ScanOutcome outcome;
  do {
    outcome = ScanFrame();
  } while (outcome == ScanOutcome::kScanned);
  connection_->in().EndScan();
}

Dialogue::ScanOutcome Dialogue::ScanFrame() {
  ReceiveBuffer& in = connection_->in();
  const std::string_view bytes = in.unscanned();
  const FrameExtent extent = FindFrame(bytes, kFrameBytesMaxDefault);
  switch (extent.state) {
    case FrameExtent::State::kPartial:
      if (!in.HasKept()) in.Want(extent.frame_bytes);
      return ScanOutcome::kPartial;
    case FrameExtent::State::kTooLarge:
      OnBadFrame(FrameFault::kTooLarge);
      return ScanOutcome::kBad;
    case FrameExtent::State::kWhole:
      break;
  }
  const FrameView view = ReadWholeFrame(bytes.substr(0, extent.frame_bytes));
  if (view.fault == FrameFault::kUnknownMember) {  // of a newer broker
    in.Drop(extent.frame_bytes);
    return ScanOutcome::kScanned;
  }
  if (view.fault != FrameFault::kNone) {
    OnBadFrame(view.fault);
    return ScanOutcome::kBad;
  }
  if (WhoseIs(view) == Whose::kReceives) {
    in.Keep(extent.frame_bytes);
  } else {
    in.Drop(extent.frame_bytes);
    // May end the session, and with it `in`.
    if (view.kind != FrameKind::kMessage) OnControl(view);
  }
  return ScanOutcome::kScanned;
}

Dialogue::Whose Dialogue::WhoseIs(const FrameView& view) {
  const bool after_delivery =
      std::exchange(delivery_scanned_, view.kind == FrameKind::kDelivery);
  switch (view.kind) {
    case FrameKind::kMessage:
      if (!requests_.begun()) return Whose::kReceives;
      // What a Delivery speaks of stays behind it.
      return WhoseIsMessage(ReadMessage(view.member)) == Whose::kOurs &&
                     !after_delivery
                 ? Whose::kOurs
                 : Whose::kReceives;
    case FrameKind::kGap:
    case FrameKind::kDelivery:
    case FrameKind::kCaughtUp:
      return Whose::kReceives;
    case FrameKind::kConfirm:
      return WhoseIsConfirm(Parse<pb::Confirm>(view));
    default:
      return Whose::kOurs;
  }
}

// A reply that a call waits for, or that nobody waits for any more.
Dialogue::Whose Dialogue::WhoseIsMessage(const MessageView& message) {
  if (!requests_.IsReplyTopic(message.topic)) return Whose::kReceives;
  if (HasExpired(message)) {
    CountExpired();
    return Whose::kOurs;
  }
  requests_.OnReadAhead(message);
  return requests_.IsAwaited(message.topic) ? Whose::kReceives : Whose::kOurs;
}

Dialogue::Whose Dialogue::WhoseIsConfirm(const pb::Confirm& confirm) {
  if (confirm.confirm_id() >= kOwnConfirmIds) return Whose::kOurs;
  if (confirms_.keeps()) {
    confirms_.OnReadAhead(ConfirmationFrom(confirm), connection_->sessions());
  }
  return Whose::kReceives;
}

// Not Gap, Delivery, CaughtUp, and Confirm of a user's message, which are Receive's.
void Dialogue::OnControl(const FrameView& view) {
  switch (view.kind) {
    case FrameKind::kSubscribed:
      OnSubscribed(Parse<pb::Subscribed>(view));
      break;
    case FrameKind::kUnsubscribed:
      OnAnswer(Parse<pb::Unsubscribed>(view).request_id(), view);
      break;
    case FrameKind::kPong:
      OnAnswer(Parse<pb::Pong>(view).token(), view);
      break;
    case FrameKind::kStatsReply:
      OnAnswer(Parse<pb::StatsReply>(view).request_id(), view);
      break;
    case FrameKind::kLogReply:
      OnAnswer(Parse<pb::LogReply>(view).request_id(), view);
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

// It knows no logs, and has made a plain subscription.
void Dialogue::OnOldBroker(const Subscriptions::Subscription& made) {
  pb::Frame frame;
  frame.mutable_unsubscribe()->set_request_id(NextId());
  frame.mutable_unsubscribe()->set_pattern(made.pattern);
  frame.mutable_unsubscribe()->set_group(made.options.group);
  Send(frame);
  pb::Error error;
  error.set_code(pb::Error::CODE_NO_LOG);
  error.set_text("it is older than this client and keeps no logs");
  error.set_request_id(made.request_id);
  OnError(error);
}

void Dialogue::OnSubscribed(const pb::Subscribed& subscribed) {
  Subscriptions::Subscription* const made =
      subscriptions_.OnSubscribed(subscribed);
  if (made == nullptr || !made->options.reads_log()) return;
  if (subscribed.log().empty()) {
    OnOldBroker(*made);
    return;
  }
  if (!std::exchange(made->log, subscribed.log()).empty()) return;
  made->next_offset = subscribed.next_offset();
  uint64_t unread = CountReadMessages(connection_->in().kept());
  if (ReceiveBuffer* const backlog = connection_->backlog()) {
    unread += CountReadMessages(backlog->untaken());
  }
  positions_.OnSubscribed(*made, unread);
}

void Dialogue::OnConfirm(const FrameView& view) {
  const auto confirm = Parse<pb::Confirm>(view);
  if (confirm.confirm_id() < kOwnConfirmIds) return;
  const uint64_t id = confirm.confirm_id() - kOwnConfirmIds;
  confirms_.OnOwnConfirm(confirm.confirm_id());
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
    case FrameKind::kLogReply:
      *answer.mutable_log_reply() = Parse<pb::LogReply>(view);
      break;
    default:
      *answer.mutable_confirm() = Parse<pb::Confirm>(view);
  }
}

void Dialogue::OnError(const pb::Error& error) {
  const absl::Status status = StatusOf(error);
  if (error.request_id() == 0) {
    if (error.code() == pb::Error::CODE_OVERFLOW) {
      connection_->OnTooSlow(status, Connection::GapCame::kYes);
    } else {
      connection_->OnFatalError(status);
    }
    return;
  }
  if (error.request_id() == awaited_id_) {
    *answer_.emplace().mutable_error() = error;
    return;
  }
  const Subscriptions::Subscription* refused =
      subscriptions_.OnRefused(error.request_id(), status);
  if (refused == nullptr || refused->awaited) return;
  if (refused->internal) {
    requests_.OnInboxLost();
    return;
  }
  // The program believes that it is subscribed, and no call is there to say
  // that it is not.
  connection_->OnFatalError(absl::Status(
      status.code(),
      fmt::format("the subscription to \"{}\"{}{} is over: {}",
                  refused->pattern,
                  refused->options.group.empty() ? "" : " in group ",
                  refused->options.group, std::string(status.message()))));
}

void Dialogue::OnBadFrame(FrameFault fault) {
  connection_->in().DropUnscanned();
  connection_->OnFatalError(absl::DataLossError(
      fmt::format("the broker sent a bad frame: {}", FrameFaultText(fault))));
}

}  // namespace fifobus
