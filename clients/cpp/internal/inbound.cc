#include "clients/cpp/internal/inbound.h"

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
#include "clients/cpp/internal/connection.h"

namespace fifobus {
namespace {

GapReason ReasonOf(pb::Gap::Reason reason) {
  switch (reason) {
    case pb::Gap::REASON_OVERFLOW:
      return GapReason::kOverflow;
    case pb::Gap::REASON_RECONNECTED:
      return GapReason::kReconnected;
    case pb::Gap::REASON_CONFLATED:
      return GapReason::kConflated;
    case pb::Gap::REASON_EXPIRED:
      return GapReason::kExpired;
    case pb::Gap::REASON_DISCONNECTED:
      return GapReason::kDisconnected;
    default:
      return GapReason::kUnknown;
  }
}

// Made where the caller wants it. To pass a DeliveryView on for each message
// would cost a third of TakeFrom, for stalls of its wide loads after narrow
// stores.
Received MessageOf(std::string_view frame, std::string_view member,
                   const std::optional<DeliveryView>& delivery) {
  Received got(frame, member);
  if (delivery) [[unlikely]] {
    got.delivery = *delivery;
  }
  return got;
}

// As MessageOf, without reading what is known of the message before.
Received RepeatedOf(std::string_view frame, const RepeatedMessage& repeated) {
  Received got;
  got.outcome = ReceiveOutcome::kMessage;
  got.message.fault = FrameFault::kNone;
  got.message.topic = repeated.Topic(frame);
  got.message.payload = repeated.Payload(frame);
  got.frame = frame;
  return got;
}

}  // namespace

Received Inbound::Receive(const Patience& patience) {
  dialogue_.connection().in().Release();
  dialogue_.Progress();
  Received got = TakeBuffered();
  if (got.outcome == ReceiveOutcome::kWouldBlock) got = AwaitEvent(patience);
  return got;
}

Received Inbound::AwaitEvent(const Patience& patience) {
  Connection& connection = dialogue_.connection();
  Requests& requests = dialogue_.requests();
  while (true) {
    dialogue_.Progress();
    Received got = TakeBuffered();
    if (got.outcome != ReceiveOutcome::kWouldBlock) return got;
    if (requests.begun()) {
      requests.Expire(looked_);
      got = TakeFailure();
      if (got.outcome != ReceiveOutcome::kWouldBlock) return got;
    }
    if (connection.state() == Connection::State::kFailed) {
      got.outcome = ReceiveOutcome::kDisconnected;
      return got;
    }
    dialogue_.FlushWithoutWaiting();
    // Only controls were taken, which nobody looks at any more.
    connection.in().Release();
    // A request is not given up before what came until its deadline was read.
    const absl::Time next = requests.NextDeadline();
    if (next != absl::InfiniteFuture()) looked_ = absl::Now();
    const bool blocking = patience.mode == Mode::kBlocking;
    if (!blocking || !connection.probably_drained()) {
      if (connection.Read() == Connection::ReadOutcome::kBytes) continue;
      if (connection.ends() != ends_told_ || next <= looked_) continue;
      if (patience.mode == Mode::kNonBlocking) {
        connection.Nudge(false);
        connection.WakeAt(next);
        return got;
      }
      if (absl::Now() >= patience.deadline) {
        got.outcome = ReceiveOutcome::kTimedOut;
        return got;
      }
    }
    if (blocking) {
      (void)connection.WaitAndRead(std::min(patience.deadline, next));
    }
  }
}

Received Inbound::TakeBuffered() {
  Connection& connection = dialogue_.connection();
  if (ReceiveBuffer* backlog = connection.backlog()) {
    backlog->Release();
    Received got = TakeFrom(*backlog);
    if (got.outcome != ReceiveOutcome::kWouldBlock) return got;
    connection.DropBacklog();
  }
  if (connection.ends() != ends_told_) {
    Received got = TakeEnd();
    if (got.outcome != ReceiveOutcome::kWouldBlock) return got;
  }
  return TakeFrom(connection.in());
}

Received Inbound::TakeEnd() {
  const Connection& connection = dialogue_.connection();
  Received got;
  // The session that is now, or comes next.
  const uint64_t session =
      connection.sessions() + (connection.AnswersMayCome() ? 0 : 1);
  if (const auto lost = dialogue_.confirms().TakeLost(session)) {
    got.outcome = ReceiveOutcome::kConfirmation;
    got.confirmation.confirm_id = *lost;
    return got;
  }
  dialogue_.requests().OnSessionBegun(session);
  ends_told_ = connection.ends();
  const uint64_t losses = connection.receive_losses();
  if (std::exchange(losses_told_, losses) != losses &&
      dialogue_.subscriptions().MissesMessages()) {
    got.outcome = ReceiveOutcome::kGap;
    got.gap.reason = absl::IsResourceExhausted(connection.status())
                         ? GapReason::kDisconnected
                         : GapReason::kReconnected;
  }
  return got;
}

Received Inbound::TakeFailure() {
  Received got;
  if (const auto failure = dialogue_.requests().TakeFailure()) {
    got.outcome = ReceiveOutcome::kReply;
    got.request_id = failure->id;
    got.reply_outcome = failure->outcome;
  }
  return got;
}

Received Inbound::TakeFrom(ReceiveBuffer& buffer) {
  const std::string_view bytes = buffer.untaken();
  const RepeatedMessage& repeated = buffer.repeated();
  if (!repeated.IsFrontOf(bytes) || dialogue_.requests().begun()) {
    return TakeFrame(buffer);
  }
  const std::string_view frame(bytes.data(), repeated.frame_bytes());
  buffer.Take(frame.size());
  return RepeatedOf(frame, repeated);
}

Received Inbound::TakeFrame(ReceiveBuffer& buffer) {
  std::optional<DeliveryView> delivery;
  while (true) {
    const std::string_view bytes = buffer.untaken();
    const FrameExtent extent = FindFrame(bytes, kFrameBytesMaxDefault);
    if (extent.state == FrameExtent::State::kTooLarge) {
      dialogue_.OnBadFrame(FrameFault::kTooLarge);
      return Received();
    }
    if (extent.state == FrameExtent::State::kPartial) {
      buffer.Want(extent.frame_bytes);
      return Received();
    }
    const std::string_view frame = bytes.substr(0, extent.frame_bytes);
    const FrameView view = ReadWholeFrame(frame);
    if (view.fault != FrameFault::kNone) {
      buffer.Take(extent.frame_bytes);
      dialogue_.OnBadFrame(view.fault);
      return Received();
    }
    if (view.kind == FrameKind::kMessage) {
      buffer.Take(extent.frame_bytes);
      if (!dialogue_.requests().begun()) {
        Received got = MessageOf(frame, view.member, delivery);
        if (got.message.fault == FrameFault::kNone) {
          buffer.repeated().Remember(frame, got.message);
        }
        return got;
      }
      const Received got =
          MessageOf(frame, view.member, std::exchange(delivery, std::nullopt));
      if (!dialogue_.requests().IsReplyTopic(got.message.topic)) return got;
      if (const auto reply = ReplyOf(got)) return *reply;
      continue;
    }
    if (view.kind == FrameKind::kDelivery) {
      if (CheckPair(buffer, bytes.substr(extent.frame_bytes),
                    extent.frame_bytes) == Pair::kPartial) {
        return Received();
      }
      buffer.Take(extent.frame_bytes);
      delivery = Show(ReadDelivery(view.member));
      continue;
    }
    const bool scanned = buffer.IsScanned();
    buffer.Take(extent.frame_bytes);
    delivery.reset();
    if (view.kind == FrameKind::kGap) return GapOf(view.member);
    if (view.kind == FrameKind::kConfirm) {
      if (const auto confirmation = ConfirmationOf(view.member)) {
        return *confirmation;
      }
    }
    if (!scanned) dialogue_.OnControl(view);
  }
}

Inbound::Pair Inbound::CheckPair(ReceiveBuffer& buffer, std::string_view behind,
                                 size_t delivery_bytes) {
  const FrameExtent next = FindFrame(behind, kFrameBytesMaxDefault);
  if (next.state != FrameExtent::State::kPartial) return Pair::kWhole;
  buffer.Want(delivery_bytes + next.frame_bytes);
  return Pair::kPartial;
}

DeliveryView Inbound::Show(DeliveryView delivery) {
  // What the backlog holds came in a session before: to answer it would be in
  // vain.
  Connection& connection = dialogue_.connection();
  const bool over = connection.backlog() != nullptr;
  delivery.ack_id =
      ack_ids_.Show(delivery.ack_id, over ? 0 : connection.sessions());
  return delivery;
}

Received Inbound::GapOf(std::string_view member) {
  pb::Gap gap;
  (void)gap.ParseFromArray(member.data(), static_cast<int>(member.size()));
  losses_.clear();
  for (const pb::Gap::Loss& loss : gap.losses()) {
    losses_.push_back({loss.topic(), loss.messages()});
  }
  Received got;
  got.outcome = ReceiveOutcome::kGap;
  got.gap.reason = ReasonOf(gap.reason());
  got.gap.messages = gap.messages();
  got.gap.losses = losses_;
  return got;
}

std::optional<Received> Inbound::ConfirmationOf(std::string_view member) {
  pb::Confirm confirm;
  (void)confirm.ParseFromArray(member.data(), static_cast<int>(member.size()));
  if (dialogue_.confirms().OnConfirm(confirm.confirm_id()) ==
      Confirms::Match::kUnknown) {
    return std::nullopt;
  }
  Received got;
  got.outcome = ReceiveOutcome::kConfirmation;
  got.confirmation = ConfirmationFrom(confirm);
  return got;
}

std::optional<Received> Inbound::ReplyOf(const Received& message) {
  const auto id = dialogue_.requests().TakeAnswered(message.message.topic);
  if (!id) return std::nullopt;
  Received reply = message;
  reply.outcome = ReceiveOutcome::kReply;
  reply.request_id = *id;
  return reply;
}

}  // namespace fifobus
