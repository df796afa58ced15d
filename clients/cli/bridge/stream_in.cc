#include "clients/cli/bridge/stream_in.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "broker/base/log.h"
#include "clients/cli/bridge/message_headers.h"
#include "clients/cli/bridge/publish_fields.h"
#include "clients/cli/bridge/stream_asking.h"
#include "clients/cli/bridge/text.h"
#include "fmt/format.h"
#include "proto/frame_writer.h"

namespace fifobus::bridge {
namespace {

// A pull that has brought nothing for so long is asked for anew. The server says
// meanwhile that it lives; twice as long without that is an end.
constexpr absl::Duration kPullExpires = absl::Seconds(30);
constexpr absl::Duration kPullHeartbeat = absl::Seconds(2);
constexpr absl::Duration kPullPatience = absl::Seconds(5);

// What is not acknowledged in this time is delivered again. What was fetched out
// of the stream is acknowledged only then.
constexpr absl::Duration kAckWait = absl::Seconds(15);
// So that what waits for that does not hold up what is new.
constexpr uint64_t kUnackedWindows = 4;

// How soon a full pipe is tried again. Not tuned.
constexpr absl::Duration kFullPipeWait = absl::Milliseconds(5);

}  // namespace

absl::StatusOr<std::unique_ptr<StreamIn>> StreamIn::Open(
    const MapSurroundings& surroundings, const MapConfig& config,
    std::string inbox, ClientOptions options) {
  if (!config.accepted_is_enough) {
    options.publisher = Concat("nats-", config.stream, "-", config.consumer);
    options.resend_bytes_max = 2 * config.window_bytes;
  }
  auto client = Client::Connect(std::move(options));
  if (!client.ok()) return client.status();
  (*client)->set_mode(Mode::kNonBlocking);
  return std::unique_ptr<StreamIn>(
      new StreamIn(surroundings, config, std::move(inbox), *std::move(client)));
}

StreamIn::StreamIn(const MapSurroundings& surroundings, const MapConfig& config,
                   std::string inbox, std::unique_ptr<Client> client)
    : around_(surroundings),
      config_(config),
      inbox_(std::move(inbox)),
      client_(std::move(client)),
      backoff_(kPauseLeast, kPauseMost) {}

// --- The NATS side

void StreamIn::Ask(Phase phase, std::string subject, std::string body) {
  phase_ = phase;
  next_ = kAnswerPatience;
  if (AskJetStream(around_.nats, std::move(subject),
                   Concat(inbox_, ".a.", round_),
                   std::move(body)) == SendOutcome::kFull) {
    Pause("the server takes nothing");
  }
}

void StreamIn::Pause(std::string trouble) {
  trouble_ = std::move(trouble);
  ++round_;
  phase_ = Phase::kPausing;
  next_ = backoff_.Next();
}

void StreamIn::BeginRound() {
  ++round_;
  requested_ = 0;
  passed_over_ = 0;
  fetch_waits_ = false;
  // What is published stays; acknowledgements of another connection count.
  Ask(Phase::kAskingStream, StreamInfoSubject(config_.stream), "");
}

void StreamIn::OnStream(const NatsMessage& answer) {
  const auto stream = ReadStreamState(answer);
  if (!stream.ok()) {
    Pause(Concat("stream ", config_.stream, ": ", MessageOf(stream.status())));
    return;
  }
  stream_ = *stream;
  uint64_t had = taken_sequence_;
  for (const StoredMark& mark : client_->publisher_marks()) {
    had = std::max(had, mark.last_sequence);
  }
  if (stream->last_sequence < had) {
    // Its messages would be taken for repeats. A new leader may still catch up.
    Pause(
        fmt::format("stream {} ends with {}, but the bus has its message {}: "
                    "it was made anew; give the map another consumer",
                    config_.stream, stream->last_sequence, had));
    return;
  }
  warning_ = LimitsWarning(*stream, config_);
  Ask(Phase::kAskingConsumer,
      ConsumerInfoSubject(config_.stream, config_.consumer), "");
}

void StreamIn::OnTime() {
  if (!waiting_.empty() && retry_.HasCome()) PublishWaiting();
  if (!next_.HasCome()) return;
  next_ = Deadline::Never();
  switch (phase_) {
    case Phase::kNoLink:
      break;
    case Phase::kPausing:
    case Phase::kPulling:
      BeginRound();
      break;
    case Phase::kAskingStream:
    case Phase::kAskingConsumer:
    case Phase::kMakingConsumer:
    case Phase::kFetching:
      Pause(NoAnswer(config_.stream));
      break;
  }
}

void StreamIn::OnNats(std::string_view token, NatsMessage message) {
  if (token.empty()) {
    if (phase_ == Phase::kPulling) {
      OnPulled(std::move(message));
    } else if (const auto delivered = ReadDelivered(message.reply)) {
      passed_over_ = std::max(passed_over_, delivered->consumer_sequence);
    }
    return;
  }
  if (token != Concat("a.", round_)) return;
  switch (phase_) {
    case Phase::kAskingStream:
      OnStream(message);
      break;
    case Phase::kAskingConsumer:
    case Phase::kMakingConsumer:
      OnConsumer(message);
      break;
    case Phase::kFetching:
      OnFetched(message);
      break;
    case Phase::kPulling:
    case Phase::kNoLink:
    case Phase::kPausing:
      break;
  }
}

void StreamIn::OnConsumer(const NatsMessage& answer) {
  const auto consumer = ReadConsumerState(answer);
  if (absl::IsNotFound(consumer.status()) && config_.create &&
      phase_ == Phase::kAskingConsumer) {
    ConsumerConfig make;
    make.stream = config_.stream;
    make.name = config_.consumer;
    if (config_.filter != ">") make.filter = config_.filter;
    make.unacked_max = kUnackedWindows * config_.window_messages;
    make.ack_wait = kAckWait;
    LogInfo("making a consumer",
            {{"stream", config_.stream}, {"consumer", config_.consumer}});
    Ask(Phase::kMakingConsumer, ConsumerCreateSubject(make),
        ConsumerCreateBody(make));
    return;
  }
  if (!consumer.ok()) {
    Pause(Concat("consumer ", config_.consumer, " of stream ", config_.stream,
                 ": ", TroubleWith(consumer.status())));
    return;
  }
  const std::string fault = ConsumerFault(*consumer, config_.filter);
  if (!fault.empty()) {
    Pause(fmt::format("consumer {} of stream {} {}", config_.consumer,
                      config_.stream, fault));
    return;
  }
  consumer_sequence_ = consumer->delivered_consumer;
  taken_sequence_ = std::max(taken_sequence_, consumer->ack_floor_stream);
  unread_ = consumer->pending;
  fetch_until_ = consumer->unacked > 0 ? consumer->delivered_stream : 0;
  FetchNext();
}

void StreamIn::FetchNext() {
  if (taken_sequence_ < fetch_until_) {
    // As many as the window takes; a confirmation goes on.
    if (pending_.size() >= kUnackedWindows * config_.window_messages) {
      phase_ = Phase::kFetching;
      next_ = Deadline::Never();
      fetch_waits_ = true;
      return;
    }
    Ask(Phase::kFetching, MessageGetSubject(config_.stream),
        NextMessageBody(taken_sequence_ + 1, config_.filter));
    return;
  }
  if (passed_over_ > consumer_sequence_) {
    // Delivered since the consumer was asked, for a pull before that.
    BeginRound();
    return;
  }
  phase_ = Phase::kPulling;
  next_ = kPullPatience;
  trouble_.clear();
  PullMore();
}

void StreamIn::OnFetched(const NatsMessage& answer) {
  auto stored = ReadStoredMessage(answer);
  if (!stored.ok() && !absl::IsNotFound(stored.status())) {
    Pause(Concat("stream ", config_.stream, ": ", MessageOf(stored.status())));
    return;
  }
  if (!stored.ok() || stored->sequence > fetch_until_) {
    // Nothing more may be taken before what was delivered.
    if (stream_.Holds(fetch_until_)) return Pause(Disagreement(config_.stream));
    fetch_until_ = 0;
  } else {
    ++counters_.resent;
    TakeNew(stored->sequence, "", std::move(stored->message));
    if (phase_ != Phase::kFetching) return;
  }
  FetchNext();
}

void StreamIn::PullMore() {
  if (phase_ != Phase::kPulling) return;
  // So many that even the largest seen would fit the window's bytes.
  const uint64_t most =
      std::clamp<uint64_t>(config_.window_bytes / pending_bytes_largest_, 1,
                           config_.window_messages);
  const uint64_t has = requested_ + pending_.size();
  // By halves, so that not each message costs a request.
  if (has > most / 2) return;
  NatsMessage pull;
  pull.subject = PullSubject(config_.stream, config_.consumer);
  pull.reply = subject();
  pull.payload = PullBody(most - has, kPullExpires, kPullHeartbeat);
  if (around_.nats.Send(std::move(pull)) == SendOutcome::kQueued) {
    requested_ += most - has;
  }
}

void StreamIn::OnPullEnd(const NatsMessage& message) {
  const std::string_view status = message.header("Status").value_or("");
  next_ = kPullPatience;
  if (status == "100") return;  // it lives
  const uint64_t left =
      ReadNumber(message.header("Nats-Pending-Messages").value_or(""))
          .value_or(0);
  if (status == "408" || status == "404") {
    requested_ = left == 0 ? 0 : requested_ - std::min(requested_, left);
    PullMore();
    return;
  }
  // The consumer is gone, or has another leader.
  Pause(fmt::format("consumer {} of stream {}: {} {}", config_.consumer,
                    config_.stream, status,
                    message.header("Description").value_or("")));
}

void StreamIn::OnPulled(NatsMessage message) {
  const auto delivered = ReadDelivered(message.reply);
  if (!delivered) return OnPullEnd(message);
  next_ = kPullPatience;
  if (requested_ > 0) --requested_;
  unread_ = delivered->pending;
  around_.clock.ObserveBefore(delivered->stored, absl::Now());
  std::string ack_subject = std::move(message.reply);
  message.reply.clear();
  const uint64_t next = consumer_sequence_ + 1;
  consumer_sequence_ =
      std::max(consumer_sequence_, delivered->consumer_sequence);
  const bool is_repeat = delivered->stream_sequence <= taken_sequence_;
  if (is_repeat) {
    TakeRepeat(delivered->stream_sequence, std::move(ack_subject));
  }
  // A repeat must not hide a hole before it: what is missing would be a repeat
  // later. One from before the consumer was asked is none.
  if (is_repeat ? delivered->consumer_sequence > next
                : delivered->consumer_sequence != next) {
    BeginRound();
    return;
  }
  if (!is_repeat) {
    TakeNew(delivered->stream_sequence, std::move(ack_subject),
            std::move(message));
  }
  PullMore();
}

void StreamIn::Acknowledge(const std::string& ack_subject) {
  if (ack_subject.empty()) return;
  NatsMessage ack;
  ack.subject = ack_subject;
  ack.payload = "+ACK";
  // One that is lost makes the message come again: then it is a repeat.
  (void)around_.nats.Send(std::move(ack));
}

// --- The bus's side

void StreamIn::TakeRepeat(uint64_t sequence, std::string ack_subject) {
  ++counters_.duplicates;
  PendingMessages::Message* const found = pending_.Find(sequence);
  if (found != nullptr) {
    found->ack_subject = std::move(ack_subject);
  } else {
    Acknowledge(ack_subject);
  }
}

StreamIn::Aside StreamIn::SetAside(uint64_t sequence,
                                   const NatsMessage& message,
                                   DeadReason reason, std::string_view text) {
  const absl::Status put = around_.dead_letters.Put(
      config_.name, Concat(message.subject, " sequence ", sequence), reason,
      text, message.payload);
  if (!put.ok()) {
    Pause(fmt::format("setting a message aside: {}", MessageOf(put)));
    return Aside::kLater;
  }
  ++counters_.set_aside;
  return Aside::kDone;
}

void StreamIn::TakeNew(uint64_t sequence, std::string ack_subject,
                       NatsMessage message) {
  pending_bytes_largest_ = std::max(pending_bytes_largest_, message.bytes());
  const bool is_own = IsFrom(message, around_.config.origin);
  auto topic = TopicOf(config_.names, message.subject);
  if (!is_own && !topic.ok() &&
      SetAside(sequence, message, DeadReason::kNoTopic,
               MessageOf(topic.status())) == Aside::kLater) {
    return;
  }
  taken_sequence_ = sequence;
  if (is_own) ++counters_.returned;
  if (is_own || !topic.ok()) {
    Acknowledge(ack_subject);
    return;
  }
  pending_.Add(sequence, std::move(ack_subject));
  waiting_.push_back({sequence, MessageForBus(message)});
  waiting_.back().message.topic = *std::move(topic);
  PublishWaiting();
}

void StreamIn::PublishWaiting() {
  while (!waiting_.empty()) {
    const Waiting& next = waiting_.front();
    PublishFields publish(next.message);
    MessageFields& fields = publish.fields;
    fields.sequence = next.sequence;
    fields.reply_topic = next.message.reply_topic;
    fields.expiry_unix_nanos = next.message.expiry_unix_nanos;
    fields.confirm_id = next.sequence;
    fields.confirm_level = LevelInFrame(
        config_.accepted_is_enough ? Level::kAccepted : Level::kStored);
    switch (client_->Publish(fields)) {
      case PublishOutcome::kSent:
      case PublishOutcome::kSentAfterGap:
        break;
      case PublishOutcome::kWouldBlock:
      case PublishOutcome::kTimedOut:
        retry_ = kFullPipeWait;
        return;
      case PublishOutcome::kRefused: {
        NatsMessage refused;
        refused.subject = next.message.topic;
        refused.payload = next.message.payload;
        if (SetAside(next.sequence, refused, DeadReason::kRefusedByBus,
                     MessageOf(client_->status())) == Aside::kLater) {
          retry_ = absl::Seconds(1);
          return;
        }
        Settle(pending_.Find(next.sequence));
        break;
      }
      case PublishOutcome::kDisconnected:
        status_ = client_->status();
        return;
    }
    waiting_.pop_front();
  }
}

void StreamIn::OnConfirmation(const Confirmation& confirmation) {
  PendingMessages::Message* const found =
      pending_.Find(confirmation.confirm_id);
  if (found == nullptr) return;
  const Level wanted =
      config_.accepted_is_enough ? Level::kAccepted : Level::kStored;
  if (confirmation.level < wanted) {
    if (confirmation.failure == ConfirmFailure::kNone) {
      // Its session was lost: all that is not confirmed is taken again.
      taken_sequence_ = std::min(taken_sequence_, found->sequence - 1);
      pending_.ForgetFrom(found->sequence);
      waiting_.clear();
      if (phase_ != Phase::kNoLink) BeginRound();
      return;
    }
    status_ = absl::FailedPreconditionError(fmt::format(
        "{}: {}: give {} a log, or set level = \"accepted\"", config_.name,
        ConfirmFailureText(confirmation.failure), config_.pattern));
    return;
  }
  backoff_.Reset();
  ++(confirmation.duplicate ? counters_.duplicates : counters_.passed);
  Settle(found);
}

void StreamIn::OnBus() {
  while (status_.ok()) {
    const Received received = client_->Receive();
    switch (received.outcome) {
      case ReceiveOutcome::kConfirmation:
        OnConfirmation(received.confirmation);
        break;
      case ReceiveOutcome::kDisconnected:
        status_ = client_->status();
        break;
      case ReceiveOutcome::kTimedOut:
      case ReceiveOutcome::kWouldBlock:
        PublishWaiting();
        if (std::exchange(fetch_waits_, false)) FetchNext();
        PullMore();
        return;
      case ReceiveOutcome::kMessage:
      case ReceiveOutcome::kGap:
      case ReceiveOutcome::kReply:
      case ReceiveOutcome::kCaughtUp:
        break;
    }
  }
}

}  // namespace fifobus::bridge
