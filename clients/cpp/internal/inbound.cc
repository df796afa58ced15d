#include "clients/cpp/internal/inbound.h"

#include <algorithm>
#include <string>
#include <utility>

#include "clients/cpp/internal/connection.h"
#include "clients/cpp/internal/expiry.h"

namespace fifobus {
namespace {

// As many as a Gap of the broker names: frame.proto.
constexpr size_t kLossTopicsMax = 64;

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
    case pb::Gap::REASON_TRIMMED:
      return GapReason::kTrimmed;
    case pb::Gap::REASON_DAMAGED:
      return GapReason::kDamaged;
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
  if (dialogue_.positions().has_taken()) [[unlikely]] {
    dialogue_.positions().OnReceive();
  }
  dialogue_.Progress();
  return dialogue_.forgotten() ? EndOfChild() : NextEvent(patience);
}

Received Inbound::EndOfChild() {
  Received got;
  got.outcome = ReceiveOutcome::kDisconnected;
  return got;
}

// Returns one variable only, so that a message is made where the caller wants
// it and is not copied.
Received Inbound::NextEvent(const Patience& patience) {
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
    // What was taken may have ended the session.
    if (connection.ends() != ends_told_) continue;
    if (connection.state() == Connection::State::kFailed) {
      got = TakeLostConfirm(UINT64_MAX);
      if (got.outcome == ReceiveOutcome::kWouldBlock) {
        got.outcome = ReceiveOutcome::kDisconnected;
      }
      return got;
    }
    dialogue_.SendPositions();
    dialogue_.FlushWithoutWaiting();
    // Only controls were taken, which nobody looks at any more.
    connection.in().Release();
    // A request is not given up before what came until its deadline was read.
    const Deadline next = requests.NextDeadline();
    if (!next.IsNever()) looked_ = Deadline::Now();
    const bool blocking = patience.mode == Mode::kBlocking;
    if (!blocking || !connection.probably_drained()) {
      if (dialogue_.Read() == Connection::ReadOutcome::kBytes) continue;
      if (connection.ends() != ends_told_ || next <= looked_) continue;
      if (patience.mode == Mode::kNonBlocking) {
        connection.SetReadable(false);
        connection.WakeAt(next);
        return got;
      }
      if (patience.deadline.HasCome()) {
        got.outcome = ReceiveOutcome::kTimedOut;
        return got;
      }
    }
    if (blocking) {
      (void)dialogue_.WaitAndRead(std::min(patience.deadline, next));
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
  // The session that is now, or comes next.
  const uint64_t session =
      connection.sessions() + (connection.AnswersMayCome() ? 0 : 1);
  Received got = TakeLostConfirm(session);
  if (got.outcome != ReceiveOutcome::kWouldBlock) return got;
  dialogue_.requests().OnSessionBegun(session);
  ends_told_ = connection.ends();
  const uint64_t losses = connection.receive_losses();
  if (std::exchange(losses_told_, losses) == losses) return got;
  const bool failed = connection.state() == Connection::State::kFailed;
  if (!failed && dialogue_.subscriptions().GoOn()) ++restarts_;
  if (dialogue_.subscriptions().MissesMessages()) {
    got.outcome = ReceiveOutcome::kGap;
    got.gap.reason = connection.was_too_slow() ? GapReason::kDisconnected
                                               : GapReason::kReconnected;
  }
  return got;
}

Received Inbound::TakeLostConfirm(uint64_t session) {
  Confirms& confirms = dialogue_.confirms();
  std::optional<Confirmation> lost = confirms.TakeLost();
  if (!lost) {
    const bool failed =
        dialogue_.connection().state() == Connection::State::kFailed;
    confirms.OnSessionOver(
        session, failed ? Confirms::Next::kNone : Confirms::Next::kSession);
    lost = confirms.TakeLost();
  }
  Received got;
  if (lost) {
    got.outcome = ReceiveOutcome::kConfirmation;
    got.confirmation = *lost;
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
    if (view.fault == FrameFault::kUnknownMember) {  // of a newer broker
      buffer.Take(extent.frame_bytes);
      continue;
    }
    if (view.fault != FrameFault::kNone) {
      dialogue_.OnBadFrame(view.fault);
      return Received();
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
    buffer.Take(extent.frame_bytes);
    if (view.kind == FrameKind::kMessage) {
      Received got = MessageOf(frame, view.member, delivery);
      if (got.message.fault != FrameFault::kNone) [[unlikely]] {
        dialogue_.OnBadFrame(got.message.fault);
        return Received();
      }
      if (delivery && delivery->offset != 0 && Note(got) == Fate::kRepeated)
          [[unlikely]] {
        delivery.reset();
        continue;
      }
      if (got.message.expiry_unix_nanos == 0 && !dialogue_.requests().begun())
          [[likely]] {
        buffer.repeated().Remember(frame, got.message);
        return got;
      }
      delivery.reset();
      if (const auto event = EventOf(got, buffer)) return *event;
      continue;
    }
    delivery.reset();
    if (view.kind == FrameKind::kGap) return GapOf(view.member);
    if (view.kind == FrameKind::kConfirm) {
      if (const auto confirmation = ConfirmationOf(view.member)) {
        return *confirmation;
      }
    }
    if (view.kind == FrameKind::kCaughtUp) {
      if (const auto caught_up = CaughtUpOf(view.member)) return *caught_up;
    }
    dialogue_.OnControl(view);
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

std::optional<Received> Inbound::CaughtUpOf(std::string_view member) {
  pb::CaughtUp frame;
  (void)frame.ParseFromArray(member.data(), static_cast<int>(member.size()));
  Subscriptions& subscriptions = dialogue_.subscriptions();
  Subscriptions::Subscription* const subscription =
      subscriptions.OfRequest(frame.request_id());
  // Of a session before, or told in one.
  if (subscription == nullptr || std::exchange(subscription->caught_up, true)) {
    return std::nullopt;
  }
  caught_up_ = subscription->pattern;
  Received got;
  got.outcome = ReceiveOutcome::kCaughtUp;
  got.subscription = subscription->number;
  got.caught_up = {caught_up_, frame.next_offset()};
  if (subscription->options.until_now) {
    dialogue_.positions().OnRemove(subscription);
    subscriptions.Remove(caught_up_, /*group=*/"");
  }
  return got;
}

Inbound::Fate Inbound::Note(Received& message) {
  // Of a group the broker keeps account.
  if (message.delivery.ack_id != 0) return Fate::kNew;
  const Positions::Taken taken = dialogue_.positions().OnTaken(
      message.message.topic, message.delivery.offset);
  message.subscription = taken.subscription;
  return taken.fate;
}

std::optional<Received> Inbound::EventOf(const Received& message,
                                         ReceiveBuffer& buffer) {
  Requests& requests = dialogue_.requests();
  if (requests.begun() && requests.IsReplyTopic(message.message.topic)) {
    if (!HasExpired(message.message)) return ReplyOf(message);
    dialogue_.CountExpired();
    return std::nullopt;
  }
  if (!HasExpired(message.message)) return message;
  return GapOfExpired(message, buffer);
}

std::optional<Received> Inbound::ReplyOf(const Received& message) {
  const auto id = dialogue_.requests().TakeAnswered(message.message.topic);
  if (!id) return std::nullopt;
  Received reply = message;
  reply.outcome = ReceiveOutcome::kReply;
  reply.request_id = *id;
  return reply;
}

Received Inbound::GapOfExpired(const Received& first, ReceiveBuffer& buffer) {
  losses_.clear();
  Received got;
  got.outcome = ReceiveOutcome::kGap;
  got.gap.reason = GapReason::kExpired;
  std::optional<Received> expired = first;
  for (; expired; expired = TakeExpired(buffer)) {
    ++got.gap.messages;
    PassOver(*expired);
  }
  got.gap.losses = losses_;
  return got;
}

std::optional<Received> Inbound::TakeExpired(ReceiveBuffer& buffer) {
  std::string_view bytes = buffer.untaken();
  std::optional<DeliveryView> delivery;
  while (true) {
    const FrameExtent extent = FindFrame(bytes, kFrameBytesMaxDefault);
    if (extent.state != FrameExtent::State::kWhole) return std::nullopt;
    const std::string_view frame = bytes.substr(0, extent.frame_bytes);
    const FrameView view = ReadWholeFrame(frame);
    if (view.fault != FrameFault::kNone) return std::nullopt;
    bytes.remove_prefix(extent.frame_bytes);
    if (view.kind == FrameKind::kDelivery && !delivery) {
      delivery = ReadDelivery(view.member);
      continue;
    }
    if (view.kind != FrameKind::kMessage) return std::nullopt;
    Received got(frame, view.member);
    const Requests& requests = dialogue_.requests();
    if (!HasExpired(got.message) ||
        (requests.begun() && requests.IsReplyTopic(got.message.topic))) {
      return std::nullopt;
    }
    if (delivery) got.delivery = Show(*delivery);
    if (got.delivery.offset != 0) (void)Note(got);
    buffer.Take(buffer.untaken().size() - bytes.size());
    return got;
  }
}

// A group that acknowledges would deliver it again: it is answered as done.
void Inbound::PassOver(const Received& expired) {
  dialogue_.CountExpired();
  const auto of_topic =
      std::find_if(losses_.begin(), losses_.end(), [&](const Gap::Loss& loss) {
        return loss.topic == expired.message.topic;
      });
  if (of_topic != losses_.end()) {
    ++of_topic->messages;
  } else if (losses_.size() < kLossTopicsMax) {
    losses_.push_back({std::string(expired.message.topic), 1});
  }
  Answer(expired.delivery.ack_id, AckVerdict::kDone);
}

void Inbound::Answer(uint64_t ack_id, AckVerdict verdict) {
  Connection& connection = dialogue_.connection();
  const auto broker_id = ack_ids_.Find(ack_id, connection.sessions());
  if (!broker_id || connection.state() != Connection::State::kOpen) return;
  AppendAckFrame(*broker_id, verdict, connection.out());
  dialogue_.FlushWithoutWaiting();
}

void Inbound::Done(const Received& received) {
  Answer(received.delivery.ack_id, AckVerdict::kDone);
  if (received.subscription == 0) return;
  dialogue_.positions().OnDone(received.subscription, received.delivery.offset);
  dialogue_.SendPositions();
}

}  // namespace fifobus
