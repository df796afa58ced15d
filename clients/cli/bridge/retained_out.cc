#include "clients/cli/bridge/retained_out.h"

#include <utility>
#include <vector>

#include "broker/base/log.h"
#include "clients/cli/bridge/jet_stream.h"
#include "clients/cli/bridge/message_headers.h"
#include "clients/cli/bridge/stream_asking.h"
#include "clients/cli/bridge/text.h"
#include "fmt/format.h"

namespace fifobus::bridge {
namespace {

constexpr absl::Duration kSubscribePatience = absl::Seconds(5);
// As of messages of logs: a cluster that chooses a new leader stalls so long.
constexpr absl::Duration kAckPatience = absl::Seconds(5);

// What may wait while NATS is away: twice what a broker retains by default, for
// what the changes' headers add, and for values that were cleared.
constexpr size_t kWaitingBytesMax = size_t{512} << 20;
constexpr size_t kWaitingValuesMax = size_t{1} << 18;
// All current values come at once, before Subscribe returns.
constexpr size_t kReceiveBytesMax = kWaitingBytesMax;

// More than the header that sending adds: the stream that is meant.
constexpr size_t kOwnHeaderBytes = 400;

}  // namespace

absl::StatusOr<std::unique_ptr<Client>> RetainedOut::Connect(
    const MapConfig& config, const ClientOptions& options) {
  ClientOptions with_room = options;
  with_room.receive_bytes_max = kReceiveBytesMax;
  auto client = Client::Connect(with_room);
  if (!client.ok()) return client.status();
  const absl::Status status =
      (*client)->Subscribe(config.pattern, kSubscribePatience);
  if (!status.ok()) return status;
  (*client)->set_mode(Mode::kNonBlocking);
  return client;
}

absl::StatusOr<std::unique_ptr<RetainedOut>> RetainedOut::Open(
    const MapSurroundings& surroundings, const MapConfig& config,
    std::string inbox, ClientOptions options) {
  auto client = Connect(config, options);
  if (!client.ok()) return client.status();
  std::unique_ptr<RetainedOut> map(
      new RetainedOut(surroundings, config, std::move(inbox),
                      std::move(options), *std::move(client)));
  map->OnBus();
  return map;
}

RetainedOut::RetainedOut(const MapSurroundings& surroundings,
                         const MapConfig& config, std::string inbox,
                         ClientOptions options, std::unique_ptr<Client> client)
    : around_(surroundings),
      config_(config),
      inbox_(std::move(inbox)),
      options_(std::move(options)),
      client_(std::move(client)),
      queue_(config_.window_messages),
      current_(std::in_place),
      backoff_(kPauseLeast, kPauseMost) {}

// --- The bus's side

void RetainedOut::ReadAnew() {
  client_.reset();
  auto client = Connect(config_, options_);
  if (!client.ok()) {
    status_ = client.status();
    return;
  }
  client_ = *std::move(client);
  current_.emplace();
  lags_ = false;
}

void RetainedOut::OnBus() {
  while (status_.ok()) {
    const Received received = client_->Receive();
    switch (received.outcome) {
      case ReceiveOutcome::kMessage:
        if (received.message.retain) TakeValue(received.message);
        break;
      case ReceiveOutcome::kGap:
        // A value that has expired is no value.
        if (received.gap.reason == GapReason::kExpired) break;
        counters_.missed += received.gap.messages;
        ReadAnew();
        if (phase_ == Phase::kFlowing) BeginRound();
        break;
      case ReceiveOutcome::kDisconnected:
        status_ = client_->status();
        break;
      case ReceiveOutcome::kTimedOut:
      case ReceiveOutcome::kWouldBlock:
        SendMore();
        return;
      case ReceiveOutcome::kConfirmation:
      case ReceiveOutcome::kReply:
      case ReceiveOutcome::kCaughtUp:
        break;
    }
  }
}

void RetainedOut::TakeValue(const MessageView& message) {
  NatsMessage value;
  const auto subject = SubjectOf(config_.names, message.topic);
  value.payload = message.payload;
  if (!subject.ok() || subject->size() > kSubjectBytesMax) {
    value.subject = message.topic;
    SetAside(value, DeadReason::kNoSubject);
    return;
  }
  value.subject = *subject;
  if (current_ && message.payload.empty()) current_->erase(value.subject);
  if (current_ && !message.payload.empty()) current_->insert(value.subject);
  if (CameOverBridge(message)) {
    ++counters_.returned;
    return;
  }
  value.headers =
      HeadersForNats(message, DeliveryView(), around_.config.origin);
  Queue(std::move(value));
}

void RetainedOut::Queue(NatsMessage value) {
  if (lags_) return;
  queue_.Put(std::move(value));
  if (queue_.bytes() <= kWaitingBytesMax && queue_.size() <= kWaitingValuesMax)
    return;
  // They are read anew when the stream takes them again.
  queue_.Clear();
  lags_ = true;
}

void RetainedOut::SetAside(const NatsMessage& value, DeadReason reason) {
  const absl::Status put = around_.dead_letters.Put(config_.name, value.subject,
                                                    reason, "", value.payload);
  if (put.ok()) {
    ++counters_.set_aside;
  } else {
    status_ = put;
  }
}

// --- The NATS side

void RetainedOut::OnConnected(size_t payload_bytes_max) {
  payload_bytes_max_ = payload_bytes_max;
  BeginRound();
}

void RetainedOut::OnDisconnected() {
  ++round_;
  phase_ = Phase::kNoLink;
  next_ = Deadline::Never();
}

void RetainedOut::Ask(Phase phase, std::string subject, std::string body) {
  phase_ = phase;
  next_ = kAnswerPatience;
  if (AskJetStream(around_.nats, std::move(subject),
                   Concat(inbox_, ".a.", round_),
                   std::move(body)) == SendOutcome::kFull) {
    Pause("the server takes nothing");
  }
}

void RetainedOut::BeginRound() {
  ++round_;
  if (lags_) {
    ReadAnew();
    if (!status_.ok()) return;
    phase_ = Phase::kAskingStream;
    OnBus();
    if (!status_.ok()) return;
  }
  Ask(Phase::kAskingStream, StreamInfoSubject(config_.stream), "");
}

void RetainedOut::Pause(std::string trouble) {
  trouble_ = std::move(trouble);
  ++round_;
  phase_ = Phase::kPausing;
  next_ = backoff_.Next();
}

void RetainedOut::OnTime() {
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
    case Phase::kAskingSubjects:
      Pause(NoAnswer(config_.stream));
      break;
    case Phase::kFlowing:
      Pause(NoAcknowledgement(config_));
      break;
  }
}

void RetainedOut::OnNats(std::string_view token, NatsMessage message) {
  const std::vector<std::string_view> parts = Split(token, '.');
  if (parts.size() < 2 || parts[1] != Concat(round_)) return;
  if (parts.size() == 3 && parts[0] == "p") {
    OnAck(ReadNumber(parts[2]).value_or(0), message);
    return;
  }
  switch (phase_) {
    case Phase::kAskingStream:
    case Phase::kMakingStream:
      OnStream(message);
      break;
    case Phase::kAskingSubjects:
      OnSubjects(message);
      break;
    case Phase::kNoLink:
    case Phase::kPausing:
    case Phase::kFlowing:
      break;
  }
}

void RetainedOut::OnStream(const NatsMessage& answer) {
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
  subjects_asked_ = 0;
  AskSubjects();
}

// Only if it is not known since a round before that both sides agree.
void RetainedOut::AskSubjects() {
  if (current_) {
    Ask(Phase::kAskingSubjects, StreamInfoSubject(config_.stream),
        StreamSubjectsBody(config_.filter, subjects_asked_));
    return;
  }
  phase_ = Phase::kFlowing;
  next_ = Deadline::Never();
  queue_.BeginRound();
  if (queue_.size() == 0) trouble_.clear();
  SendMore();
}

void RetainedOut::OnSubjects(const NatsMessage& answer) {
  const auto stream = ReadStreamState(answer);
  if (!stream.ok()) {
    Pause(Concat("stream ", config_.stream, ": ", MessageOf(stream.status())));
    return;
  }
  for (const std::string& subject : stream->held_subjects) {
    if (current_->count(subject) > 0) continue;
    NatsMessage cleared;
    cleared.subject = subject;
    cleared.headers = {{std::string(kNatsOriginHeader), around_.config.origin}};
    Queue(std::move(cleared));
  }
  subjects_asked_ += stream->held_subjects.size();
  if (stream->held_subjects.empty() ||
      subjects_asked_ >= stream->held_subjects_total) {
    current_.reset();
  }
  AskSubjects();
}

void RetainedOut::OnAck(uint64_t version, const NatsMessage& answer) {
  const PubAck ack = ReadPubAck(answer);
  switch (ack.outcome) {
    case PubAck::Outcome::kStored:
    case PubAck::Outcome::kDuplicate:
      queue_.OnStored(version);
      ++counters_.passed;
      trouble_.clear();
      backoff_.Reset();
      next_ =
          queue_.in_flight() > 0 ? Deadline(kAckPatience) : Deadline::Never();
      SendMore();
      return;
    case PubAck::Outcome::kTooLarge:
      if (const auto refused = queue_.TakeRefused(version)) {
        SetAside(*refused, DeadReason::kTooLargeForStream);
      }
      SendMore();
      return;
    case PubAck::Outcome::kWrongPlace:
    case PubAck::Outcome::kNoStream:
    case PubAck::Outcome::kOtherStream:
    case PubAck::Outcome::kRefused:
      Pause(fmt::format("stream {}: {}", config_.stream, ack.text));
      return;
  }
}

void RetainedOut::SendMore() {
  if (phase_ != Phase::kFlowing) return;
  if (lags_) {
    BeginRound();
    return;
  }
  while (auto next = queue_.NextToSend()) {
    auto& [version, value] = *next;
    if (value.wire_bytes() + kOwnHeaderBytes > payload_bytes_max_) {
      if (const auto refused = queue_.TakeRefused(version)) {
        SetAside(*refused, DeadReason::kTooLargeForServer);
      }
      continue;
    }
    value.reply = Concat(inbox_, ".p.", round_, ".", version);
    value.headers.push_back({"Nats-Expected-Stream", config_.stream});
    if (around_.nats.Send(std::move(value)) != SendOutcome::kQueued) {
      Pause("the server takes nothing");
      return;
    }
    if (next_.IsNever()) next_ = kAckPatience;
  }
}

MapCounters RetainedOut::counters() const {
  MapCounters counters = counters_;
  counters.in_flight = queue_.in_flight();
  counters.behind = queue_.size();
  return counters;
}

}  // namespace fifobus::bridge
