#include "clients/cli/bridge/log_out.h"

#include <optional>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "broker/base/log.h"
#include "clients/cli/bridge/jet_stream.h"
#include "clients/cli/bridge/log_source.h"
#include "clients/cli/bridge/message_headers.h"
#include "clients/cli/bridge/stream_asking.h"
#include "clients/cli/bridge/text.h"
#include "fmt/format.h"

namespace fifobus::bridge {
namespace {

// Messages wait longer than answers: a cluster that chooses a new leader stalls
// for up to 10 s, and a new round before that would only be refused.
constexpr absl::Duration kAckPatience = absl::Seconds(5);

// More than the headers that sending adds: the id, and what is expected.
constexpr size_t kOwnHeaderBytes = 700;

}  // namespace

absl::StatusOr<std::unique_ptr<LogOut>> LogOut::Open(
    const MapSurroundings& surroundings, const MapConfig& config,
    std::string inbox, ClientOptions options) {
  auto client = OpenLogSource(options, config.pattern, config.durable);
  if (!client.ok()) return client.status();
  return std::unique_ptr<LogOut>(
      new LogOut(surroundings, config, std::move(inbox), std::move(options),
                 *std::move(client)));
}

LogOut::LogOut(const MapSurroundings& surroundings, const MapConfig& config,
               std::string inbox, ClientOptions options,
               std::unique_ptr<Client> client)
    : around_(surroundings),
      config_(config),
      inbox_(std::move(inbox)),
      options_(std::move(options)),
      client_(std::move(client)),
      chain_(around_.config.origin, config_.durable, config_.shared,
             {config_.window_messages, config_.window_bytes}),
      backoff_(kPauseLeast, kPauseMost) {}

int LogOut::bus_fd() const {
  return client_ && chain_.HasRoom() ? client_->fd() : -1;
}

void LogOut::OnBus() {
  if (!client_) return;
  while (chain_.HasRoom() && status_.ok()) {
    const Received received = client_->Receive();
    switch (received.outcome) {
      case ReceiveOutcome::kMessage:
        TakeMessage(received);
        break;
      case ReceiveOutcome::kGap:
        // Of those that expired nobody wants to know.
        if (received.gap.reason == GapReason::kExpired) break;
        counters_.missed += received.gap.messages;
        LogWarning("the log did not keep messages until they were read",
                   {{"map", config_.name},
                    {"reason", GapReasonText(received.gap.reason)},
                    {"messages", received.gap.messages}});
        break;
      case ReceiveOutcome::kCaughtUp:
        if (chain_.OnLogEnd(received.caught_up.next_offset) ==
            OutChain::Taken::kOtherLog) {
          ReadAnew();
        }
        break;
      case ReceiveOutcome::kDisconnected:
        status_ = client_->status();
        break;
      case ReceiveOutcome::kConfirmation:
      case ReceiveOutcome::kReply:
        break;
      case ReceiveOutcome::kTimedOut:
      case ReceiveOutcome::kWouldBlock:
        TellDone();
        SendMore();
        return;
    }
  }
  TellDone();
  SendMore();
}

void LogOut::TakeMessage(const Received& received) {
  const MessageView& message = received.message;
  reader_ = received.subscription;
  if (CameOverBridge(message)) {
    ++counters_.returned;
    chain_.Pass(received.delivery.offset);
    return;
  }
  OutMessage out;
  out.offset = received.delivery.offset;
  out.stored_unix_nanos = received.delivery.stored_time_unix_nanos;
  out.message.payload = message.payload;
  out.message.headers =
      HeadersForNats(message, received.delivery, around_.config.origin);
  const auto subject = SubjectOf(config_.names, message.topic);
  std::optional<DeadReason> reason;
  if (!subject.ok() || subject->size() > kSubjectBytesMax) {
    reason = DeadReason::kNoSubject;
  } else {
    out.message.subject = *subject;
  }
  if (IsTooLarge(out.message)) reason = DeadReason::kTooLargeForServer;
  if (reason) {
    out.message.subject = message.topic;
    SetAside(out, *reason);
    if (status_.ok()) chain_.Pass(out.offset);
    return;
  }
  if (chain_.Take(std::move(out)) == OutChain::Taken::kOtherLog) ReadAnew();
}

bool LogOut::IsTooLarge(const NatsMessage& message) const {
  return payload_bytes_max_ != 0 &&
         message.wire_bytes() + kOwnHeaderBytes > payload_bytes_max_;
}

void LogOut::SetAside(const OutMessage& message, DeadReason reason) {
  const absl::Status put = around_.dead_letters.Put(
      config_.name, Concat(message.message.subject, " offset ", message.offset),
      reason, "", message.message.payload);
  // A bridge that is started again reads it once more.
  if (!put.ok()) {
    status_ = put;
    return;
  }
  ++counters_.set_aside;
}

void LogOut::ReadAnew() {
  LogWarning("the log was made anew; the stream has none of its messages",
             {{"map", config_.name}});
  client_.reset();
  auto client = OpenLogSource(options_, config_.pattern, config_.durable);
  if (!client.ok()) {
    status_ = client.status();
    return;
  }
  client_ = *std::move(client);
  chain_.BeginNewLog();
  told_done_ = 0;
  if (phase_ != Phase::kNoLink) BeginRound();
}

void LogOut::GoBackTo(uint64_t offset) {
  LogWarning("the stream has lost what it had acknowledged; it is sent again",
             {{"map", config_.name},
              {"stream", config_.stream},
              {"from_offset", offset}});
  client_.reset();
  told_done_ = offset - 1;
  BeginRound();
}

absl::Status LogOut::ReadAgain() {
  absl::Status status =
      MoveLogSource(options_, config_.durable, told_done_ + 1);
  if (!status.ok()) return status;
  auto client = OpenLogSource(options_, config_.pattern, config_.durable);
  if (!client.ok()) return client.status();
  client_ = *std::move(client);
  return absl::OkStatus();
}

void LogOut::TellDone() {
  if (!client_) return;
  const uint64_t done = chain_.done_offset();
  if (done <= told_done_ || reader_ == 0) return;
  told_done_ = done;
  Received upto;
  upto.subscription = reader_;
  upto.delivery.offset = done;
  client_->Done(upto);
}

void LogOut::OnConnected(size_t payload_bytes_max) {
  payload_bytes_max_ = payload_bytes_max;
  clock_is_known_ = false;
  BeginRound();
}

void LogOut::OnDisconnected() {
  phase_ = Phase::kNoLink;
  next_ = Deadline::Never();
  chain_.BeginRound();
}

void LogOut::Ask(Phase phase, std::string subject, std::string body) {
  phase_ = phase;
  next_ = kAnswerPatience;
  if (AskJetStream(around_.nats, std::move(subject),
                   Concat(inbox_, ".a.", chain_.round()),
                   std::move(body)) == SendOutcome::kFull) {
    Pause("the server takes nothing");
  }
}

void LogOut::BeginRound() {
  if (!client_) {
    const absl::Status read = ReadAgain();
    if (!read.ok()) {
      Pause(Concat("read the log again: ", MessageOf(read)));
      return;
    }
  }
  passed_at_round_ = chain_.stored();
  chain_.BeginRound();
  Ask(Phase::kAskingStream, StreamInfoSubject(config_.stream), "");
}

void LogOut::Pause(std::string trouble) {
  if (chain_.stored() > passed_at_round_) backoff_.Reset();
  trouble_ = std::move(trouble);
  chain_.BeginRound();
  phase_ = Phase::kPausing;
  next_ = backoff_.Next();
}

void LogOut::OnTime() {
  if (!next_.HasCome()) return;
  next_ = Deadline::Never();
  switch (phase_) {
    case Phase::kNoLink:
      break;
    case Phase::kPausing:
      BeginRound();
      break;
    case Phase::kAskingStream:
    case Phase::kMakingStream:
    case Phase::kAskingEnd:
    case Phase::kAskingMessage:
      Pause(NoAnswer(config_.stream));
      break;
    case Phase::kFlowing:
      Pause(NoAcknowledgement(config_));
      break;
  }
}

void LogOut::OnNats(std::string_view token, NatsMessage message) {
  const std::vector<std::string_view> parts = Split(token, '.');
  if (parts.size() == 3 && parts[0] == "p") {
    OnAck(parts[1], parts[2], message);
    return;
  }
  if (token == "t") {
    OnTimeOf(message);
    return;
  }
  if (parts.size() != 2 || parts[1] != Concat(chain_.round())) return;
  switch (phase_) {
    case Phase::kAskingStream:
    case Phase::kMakingStream:
      OnStream(message);
      break;
    case Phase::kAskingEnd:
      OnEnd(message);
      break;
    case Phase::kAskingMessage:
      OnLastMessage(message);
      break;
    case Phase::kNoLink:
    case Phase::kPausing:
    case Phase::kFlowing:
      break;
  }
}

void LogOut::OnStream(const NatsMessage& answer) {
  const auto stream = ReadTarget(answer, config_);
  if (absl::IsNotFound(stream.status()) && config_.create &&
      phase_ == Phase::kAskingStream) {
    LogInfo("making a stream", {{"stream", config_.stream}});
    Ask(Phase::kMakingStream, StreamCreateSubject(config_.stream),
        StreamCreateBody(StreamToMake(config_)));
    return;
  }
  if (!stream.ok()) {
    Pause(MessageOf(stream.status()));
    return;
  }
  warning_ = LimitsWarning(*stream, config_);
  stream_ = *stream;
  if (!config_.shared && stream_.Holds(stream_.last_sequence)) {
    Ask(Phase::kAskingEnd, MessageGetSubject(config_.stream),
        MessageBody(stream_.last_sequence));
    return;
  }
  Ask(Phase::kAskingMessage, MessageGetSubject(config_.stream),
      LastMessageBody(config_.filter));
}

void LogOut::OnEnd(const NatsMessage& answer) {
  const auto last = ReadStoredMessage(answer);
  if (absl::IsNotFound(last.status())) {
    // What was sent last would be sent again after an older message.
    Pause(Disagreement(config_.stream));
    return;
  }
  if (last.ok() && !FilterCovers(config_.filter, last->message.subject)) {
    // Of another subject, from before this map.
    Ask(Phase::kAskingMessage, MessageGetSubject(config_.stream),
        LastMessageBody(config_.filter));
    return;
  }
  OnLastMessage(answer);
}

void LogOut::OnLastMessage(const NatsMessage& answer) {
  const auto last = ReadStoredMessage(answer);
  std::optional<MessageId> id;
  if (last.ok()) {
    if (last->sequence > stream_.last_sequence) {
      // It has come since: what is on its way may still come.
      BeginRound();
      return;
    }
    id = MessageId::Parse(
        last->message.header("Nats-Msg-Id").value_or(std::string_view()));
  } else if (!absl::IsNotFound(last.status())) {
    Pause(
        fmt::format("stream {}: {}", config_.stream, MessageOf(last.status())));
    return;
  }
  if (chain_.OnStreamEnd(stream_.last_sequence, id) ==
      OutChain::EndOutcome::kLost) {
    GoBackTo(id->offset + 1);
    return;
  }
  phase_ = Phase::kFlowing;
  next_ = Deadline::Never();
  TellDone();
  SendMore();
  // Otherwise the first acknowledgement says that all is well.
  if (chain_.in_flight() == 0) trouble_.clear();
}

void LogOut::OnAck(std::string_view round, std::string_view offset_text,
                   const NatsMessage& answer) {
  const uint64_t of_round = ReadNumber(round).value_or(0);
  const uint64_t offset = ReadNumber(offset_text).value_or(0);
  const PubAck ack = ReadPubAck(answer);
  switch (chain_.OnAck(of_round, offset, ack)) {
    case OutChain::AckResult::kStale:
      return;
    case OutChain::AckResult::kGood:
      trouble_.clear();
      if (ack.outcome == PubAck::Outcome::kStored) AskTime(ack.sequence);
      next_ =
          chain_.in_flight() > 0 ? Deadline(kAckPatience) : Deadline::Never();
      TellDone();
      OnBus();
      return;
    case OutChain::AckResult::kTooLarge:
      if (const auto refused = chain_.TakeRefused(offset)) {
        SetAside(*refused, DeadReason::kTooLargeForStream);
      }
      if (status_.ok()) BeginRound();
      return;
    case OutChain::AckResult::kBroken:
      if (chain_.stored() > passed_at_round_) {
        // Once is no trouble: the stream has a new leader.
        BeginRound();
        return;
      }
      Pause(ack.outcome == PubAck::Outcome::kWrongPlace ||
                    ack.outcome == PubAck::Outcome::kDuplicate
                ? fmt::format("stream {} is written by others as well",
                              config_.stream)
                : fmt::format("stream {}: {}", config_.stream, ack.text));
      return;
  }
}

void LogOut::SendMore() {
  if (phase_ != Phase::kFlowing) return;
  while (auto next = chain_.NextToSend()) {
    if (IsTooLarge(next->second)) {
      // It was taken before there was a server to know the bound of.
      if (const auto refused = chain_.TakeRefused(next->first)) {
        SetAside(*refused, DeadReason::kTooLargeForServer);
      }
      if (status_.ok()) BeginRound();
      return;
    }
    next->second.reply =
        Concat(inbox_, ".p.", chain_.round(), ".", next->first);
    next->second.headers.push_back({"Nats-Expected-Stream", config_.stream});
    if (around_.nats.Send(std::move(next->second)) == SendOutcome::kFull) {
      Pause("the server takes nothing");
      return;
    }
    if (next_.IsNever()) {
      next_ = kAckPatience;
      sent_ = absl::Now();
    }
  }
}

void LogOut::AskTime(uint64_t stream_sequence) {
  if (std::exchange(clock_is_known_, true)) return;
  acked_ = absl::Now();
  sent_of_time_ = sent_;
  if (AskJetStream(around_.nats, MessageGetSubject(config_.stream),
                   Concat(inbox_, ".t"),
                   NextMessageBody(stream_sequence, config_.filter)) !=
      SendOutcome::kQueued) {
    clock_is_known_ = false;
  }
}

void LogOut::OnTimeOf(const NatsMessage& answer) {
  const auto stored = ReadStoredMessage(answer);
  if (!stored.ok() || stored->time == absl::InfinitePast()) return;
  around_.clock.Observe(stored->time, sent_of_time_, acked_);
}

MapCounters LogOut::counters() const {
  MapCounters counters = counters_;
  counters.passed = chain_.stored();
  counters.resent = chain_.resent();
  counters.duplicates = chain_.duplicates();
  counters.in_flight = chain_.held();
  return counters;
}

}  // namespace fifobus::bridge
