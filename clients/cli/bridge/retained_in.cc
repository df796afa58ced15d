#include "clients/cli/bridge/retained_in.h"

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
#include "clients/cli/bridge/jet_stream.h"
#include "clients/cli/bridge/message_headers.h"
#include "clients/cli/bridge/publish_fields.h"
#include "clients/cli/bridge/stream_asking.h"
#include "clients/cli/bridge/text.h"
#include "fmt/format.h"
#include "proto/frame_writer.h"

namespace fifobus::bridge {
namespace {

// The consumer says so often that it lives; twice as long without is an end.
constexpr absl::Duration kHeartbeat = absl::Seconds(2);
constexpr absl::Duration kPushPatience = absl::Seconds(5);

// How soon a full pipe is tried again. Not tuned.
constexpr absl::Duration kFullPipeWait = absl::Milliseconds(5);

}  // namespace

absl::StatusOr<std::unique_ptr<RetainedIn>> RetainedIn::Open(
    const MapSurroundings& surroundings, const MapConfig& config,
    std::string inbox, ClientOptions options) {
  auto client = Client::Connect(std::move(options));
  if (!client.ok()) return client.status();
  (*client)->set_mode(Mode::kNonBlocking);
  return std::unique_ptr<RetainedIn>(new RetainedIn(
      surroundings, config, std::move(inbox), *std::move(client)));
}

RetainedIn::RetainedIn(const MapSurroundings& surroundings,
                       const MapConfig& config, std::string inbox,
                       std::unique_ptr<Client> client)
    : around_(surroundings),
      config_(config),
      inbox_(std::move(inbox)),
      client_(std::move(client)),
      backoff_(kPauseLeast, kPauseMost) {}

// --- The NATS side

void RetainedIn::OnConnected(size_t /*payload_bytes_max*/) { BeginRound(); }

void RetainedIn::OnDisconnected() {
  ++round_;
  phase_ = Phase::kNoLink;
  next_ = Deadline::Never();
}

void RetainedIn::Ask(Phase phase, std::string subject, std::string body) {
  phase_ = phase;
  next_ = kAnswerPatience;
  if (AskJetStream(around_.nats, std::move(subject),
                   Concat(inbox_, ".a.", round_),
                   std::move(body)) == SendOutcome::kFull) {
    Pause("the server takes nothing");
  }
}

// The next connection has the same subject, so that the server may not notice
// that the consumer is not wanted any more.
void RetainedIn::DeleteConsumer() {
  if (consumer_.empty()) return;
  (void)AskJetStream(around_.nats,
                     ConsumerDeleteSubject(config_.stream, consumer_),
                     Concat(inbox_, ".d"), "");
  consumer_.clear();
}

void RetainedIn::BeginRound() {
  ++round_;
  DeleteConsumer();
  waiting_.clear();
  flow_reply_.clear();
  Ask(Phase::kAskingStream, StreamInfoSubject(config_.stream), "");
}

void RetainedIn::BeginRoundIfLinked() {
  if (phase_ == Phase::kMakingConsumer || phase_ == Phase::kFlowing) {
    BeginRound();
  }
}

void RetainedIn::Pause(std::string trouble) {
  trouble_ = std::move(trouble);
  ++round_;
  phase_ = Phase::kPausing;
  next_ = backoff_.Next();
}

void RetainedIn::OnStream(const NatsMessage& answer) {
  const auto stream = ReadStreamState(answer);
  if (!stream.ok()) {
    Pause(Concat("stream ", config_.stream, ": ", MessageOf(stream.status())));
    return;
  }
  warning_ = LimitsWarning(*stream, config_);
  ConsumerConfig make;
  make.stream = config_.stream;
  // The inbox has a part that no other bridge has.
  make.name = Concat("fifobus-", inbox_, "-", round_);
  std::replace(make.name.begin(), make.name.end(), '.', '-');
  make.filter = config_.filter;
  consumer_ = make.name;
  consumer_sequence_ = 0;
  Ask(Phase::kMakingConsumer, ValuesConsumerSubject(make),
      ValuesConsumerBody(make, subject(), kHeartbeat));
}

void RetainedIn::OnConsumer(const NatsMessage& answer) {
  const auto made = ReadConsumerState(answer);
  if (!made.ok()) {
    consumer_.clear();
    Pause(Concat("a consumer of stream ", config_.stream, ": ",
                 MessageOf(made.status())));
    return;
  }
  // Values may have come before.
  if (consumer_sequence_ == 0) unread_ = made->pending;
  phase_ = Phase::kFlowing;
  next_ = kPushPatience;
  trouble_.clear();
}

Deadline RetainedIn::next_time() const {
  return waiting_.empty() ? next_ : std::min(next_, retry_);
}

void RetainedIn::OnTime() {
  if (!waiting_.empty() && retry_.HasCome()) PublishWaiting();
  if (!next_.HasCome()) return;
  next_ = Deadline::Never();
  switch (phase_) {
    case Phase::kNoLink:
      break;
    case Phase::kPausing:
      BeginRound();
      break;
    case Phase::kFlowing:
      // A server that waits for an answer of flow control sends signs of life,
      // so it is the consumer that has gone.
      Pause(fmt::format("stream {} sends no signs of life", config_.stream));
      break;
    case Phase::kAskingStream:
    case Phase::kMakingConsumer:
      Pause(NoAnswer(config_.stream));
      break;
  }
}

void RetainedIn::OnNats(std::string_view token, NatsMessage message) {
  if (token.empty()) {
    OnPushed(std::move(message));
    return;
  }
  if (token != Concat("a.", round_)) return;
  if (phase_ == Phase::kAskingStream) {
    OnStream(message);
  } else if (phase_ == Phase::kMakingConsumer) {
    OnConsumer(message);
  }
}

void RetainedIn::OnSignOfLife(const NatsMessage& message) {
  if (phase_ != Phase::kFlowing) return;
  next_ = kPushPatience;
  const auto last = message.header("Nats-Last-Consumer");
  if (last && ReadNumber(*last).value_or(0) > consumer_sequence_) {
    BeginRound();
    return;
  }
  if (const auto stalled = message.header("Nats-Consumer-Stalled")) {
    flow_reply_ = *stalled;
  } else if (!message.reply.empty()) {
    flow_reply_ = message.reply;
  }
  AnswerFlowControl();
}

void RetainedIn::AnswerFlowControl() {
  if (flow_reply_.empty() || !waiting_.empty()) return;
  NatsMessage answer;
  answer.subject = std::exchange(flow_reply_, "");
  // If it is lost, the next sign of life asks once more.
  (void)around_.nats.Send(std::move(answer));
}

void RetainedIn::OnPushed(NatsMessage message) {
  const auto delivered = ReadDelivered(message.reply);
  if (!delivered) {
    OnSignOfLife(message);
    return;
  }
  // Of an older round.
  if (delivered->consumer != consumer_) return;
  if (delivered->consumer_sequence != ++consumer_sequence_) {
    BeginRound();
    return;
  }
  if (phase_ == Phase::kFlowing) next_ = kPushPatience;
  unread_ = delivered->pending;
  around_.clock.ObserveBefore(delivered->stored, absl::Now());
  message.reply.clear();
  TakeValue(std::move(message));
}

// --- The bus's side

void RetainedIn::TakeValue(NatsMessage message) {
  if (IsFrom(message, around_.config.origin)) {
    ++counters_.returned;
    return;
  }
  auto topic = TopicOf(config_.names, message.subject);
  if (!topic.ok()) {
    const absl::Status put = around_.dead_letters.Put(
        config_.name, message.subject, DeadReason::kNoTopic,
        MessageOf(topic.status()), message.payload);
    ++(put.ok() ? counters_.set_aside : counters_.dropped);
    return;
  }
  waiting_.push_back(MessageForBus(message));
  waiting_.back().topic = *std::move(topic);
  PublishWaiting();
}

void RetainedIn::PublishWaiting() {
  while (!waiting_.empty()) {
    const OwnedMessage& next = waiting_.front();
    PublishFields publish(next);
    publish.fields.retain = true;
    publish.fields.expiry_unix_nanos = next.expiry_unix_nanos;
    switch (client_->Publish(publish.fields)) {
      case PublishOutcome::kSent:
        ++counters_.passed;
        backoff_.Reset();
        break;
      case PublishOutcome::kSentAfterGap:
        ++counters_.passed;
        BeginRoundIfLinked();
        if (waiting_.empty()) return;
        break;
      case PublishOutcome::kWouldBlock:
      case PublishOutcome::kTimedOut:
        retry_ = kFullPipeWait;
        return;
      case PublishOutcome::kRefused: {
        const absl::Status put = around_.dead_letters.Put(
            config_.name, next.topic, DeadReason::kRefusedByBus,
            MessageOf(client_->status()), next.payload);
        ++(put.ok() ? counters_.set_aside : counters_.dropped);
        break;
      }
      case PublishOutcome::kDisconnected:
        status_ = client_->status();
        return;
    }
    waiting_.pop_front();
  }
  AnswerFlowControl();
}

void RetainedIn::OnBus() {
  while (status_.ok()) {
    const Received received = client_->Receive();
    switch (received.outcome) {
      case ReceiveOutcome::kDisconnected:
        status_ = client_->status();
        break;
      case ReceiveOutcome::kTimedOut:
      case ReceiveOutcome::kWouldBlock:
        // Another broker may have none of the values.
        if (client_->Flush() == PublishOutcome::kSentAfterGap) {
          BeginRoundIfLinked();
        }
        PublishWaiting();
        return;
      case ReceiveOutcome::kMessage:
      case ReceiveOutcome::kGap:
      case ReceiveOutcome::kConfirmation:
      case ReceiveOutcome::kReply:
      case ReceiveOutcome::kCaughtUp:
        break;
    }
  }
}

MapCounters RetainedIn::counters() const {
  MapCounters counters = counters_;
  counters.in_flight = waiting_.size();
  counters.behind = unread_ + waiting_.size();
  return counters;
}

}  // namespace fifobus::bridge
