#include "clients/cpp/client.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "clients/cpp/internal/connection.h"
#include "clients/cpp/internal/dialogue.h"
#include "clients/cpp/internal/group_leave.h"
#include "clients/cpp/internal/inbound.h"
#include "clients/cpp/internal/message_check.h"
#include "clients/cpp/internal/outbound.h"
#include "clients/cpp/internal/patience.h"
#include "clients/cpp/internal/request_calls.h"
#include "fmt/format.h"
#include "proto/frame.pb.h"
#include "proto/overflow.h"

namespace fifobus {
namespace {

// How long the destructor waits for what is not written.
constexpr absl::Duration kLastFlush = absl::Seconds(1);

// Hello must fit into a pipe that nobody reads yet.
constexpr size_t kWillBytesMax = size_t{32} << 10;

absl::Status CheckWill(const OwnedMessage& will) {
  std::vector<HeaderView> headers;
  for (const OwnedMessage::Header& header : will.headers) {
    headers.push_back({header.name, header.value});
  }
  MessageFields fields;
  fields.topic = will.topic;
  fields.payload = will.payload;
  fields.reply_topic = will.reply_topic;
  fields.content_type = will.content_type;
  fields.headers = headers;
  absl::Status status = CheckPublishTopic(will.topic);
  if (status.ok()) status = CheckMetadata(fields);
  if (status.ok() && MessageBodyBytes(fields) > kWillBytesMax) {
    status = absl::InvalidArgumentError(
        fmt::format("the will has {} bytes; at most {} are possible",
                    MessageBodyBytes(fields), kWillBytesMax));
  }
  return status;
}

pb::Hello HelloOf(const ClientOptions& options) {
  pb::Hello hello;
  hello.set_client_name(options.client_name);
  if (options.overflow) hello.set_overflow(OverflowInFrame(*options.overflow));
  hello.set_queue_bytes_max(options.queue_bytes_max);
  hello.set_queue_messages_max(options.queue_messages_max);
  if (options.will) options.will->CopyTo(*hello.mutable_will());
  return hello;
}

absl::Status Unknown(const absl::Status& cause) {
  if (!absl::IsUnavailable(cause) && !absl::IsDeadlineExceeded(cause)) {
    return cause;
  }
  return absl::Status(
      cause.code(),
      fmt::format("it is not known whether the message was taken: {}",
                  std::string(cause.message())));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Client>> Client::Start(ClientOptions options) {
  if (options.will) {
    const absl::Status will = CheckWill(*options.will);
    if (!will.ok()) return will;
  }
  Connection::Options connection_options;
  connection_options.dir = options.dir;
  connection_options.hello = HelloOf(options);
  connection_options.reconnect = options.reconnect;
  connection_options.receive_bytes_max = options.receive_bytes_max;
  auto connection = Connection::Make(std::move(connection_options));
  if (!connection.ok()) return connection.status();
  auto client = std::unique_ptr<Client>(new Client(
      options.mode, std::make_unique<Dialogue>(*std::move(connection))));
  client->dialogue_->Progress();
  return client;
}

absl::StatusOr<std::unique_ptr<Client>> Client::Connect(ClientOptions options) {
  const Deadline deadline = options.connect_timeout;
  auto client = Start(std::move(options));
  if (!client.ok()) return client.status();
  Dialogue& dialogue = *(*client)->dialogue_;
  Connection& connection = dialogue.connection();
  while (connection.state() != Connection::State::kOpen) {
    if (connection.state() == Connection::State::kFailed ||
        deadline.HasCome()) {
      return connection.status();
    }
    connection.Wait(deadline, Connection::Room::kUnwanted);
    dialogue.Progress();
  }
  return client;
}

Client::Client(Mode mode, std::unique_ptr<Dialogue> dialogue)
    : dialogue_(std::move(dialogue)),
      outbound_(std::make_unique<Outbound>(*dialogue_)),
      inbound_(std::make_unique<Inbound>(*dialogue_)),
      request_calls_(std::make_unique<RequestCalls>(*dialogue_, *outbound_)),
      mode_(mode) {}

Client::~Client() {
  const auto call = dialogue_->Enter();
  Connection& connection = dialogue_->connection();
  if (connection.state() != Connection::State::kOpen) return;
  const Deadline deadline = kLastFlush;
  const uint64_t taken_along = LeaveGroups(*dialogue_, deadline);
  if (connection.state() != Connection::State::kOpen) return;
  pb::Frame frame;
  frame.mutable_goodbye()->set_reason("the client leaves");
  frame.mutable_goodbye()->set_taken_along(taken_along);
  AppendFrame(frame, connection.out());
  (void)outbound_->Flush({Mode::kBlocking, deadline});
}

int Client::fd() const { return dialogue_->connection().fd(); }

const absl::Status& Client::status() const { return dialogue_->status(); }

uint64_t Client::expired_messages() const {
  return dialogue_->expired_messages();
}

Client::Bounds Client::bounds() const {
  const Connection& connection = dialogue_->connection();
  return {connection.queue_bytes_max(), connection.queue_messages_max()};
}

PublishOutcome Client::Refuse(absl::Status status) {
  dialogue_->SetRefusal(std::move(status));
  return PublishOutcome::kRefused;
}

void Client::BeginBatch() { dialogue_->BeginBatch(); }

void Client::EndBatch() {
  const auto call = dialogue_->Enter();
  dialogue_->EndBatch();
  if (!dialogue_->batching()) (void)Flush();
}

Batch::~Batch() { client_.EndBatch(); }

// Publishing

PublishOutcome Client::Publish(std::string_view topic, std::string_view payload,
                               Deadline deadline) {
  const auto call = dialogue_->Enter();
  return outbound_->Publish(topic, payload, {mode_, deadline});
}

PublishOutcome Client::Publish(const MessageFields& message,
                               Deadline deadline) {
  const auto call = dialogue_->Enter();
  if (message.confirm_id != 0) return PublishTracked(message, deadline);
  return outbound_->Publish(message, {mode_, deadline});
}

PublishOutcome Client::PublishTracked(const MessageFields& message,
                                      Deadline deadline) {
  if (message.confirm_id >= Dialogue::kOwnConfirmIds) {
    return Refuse(absl::InvalidArgumentError(
        "a confirm_id must be below 2^63: the others are the library's"));
  }
  if (dialogue_->confirms().full()) {
    return Refuse(absl::ResourceExhaustedError(fmt::format(
        "{} confirmations are awaited: take them by Receive", Confirms::kMax)));
  }
  const PublishOutcome outcome = outbound_->Publish(message, {mode_, deadline});
  if (outcome == PublishOutcome::kSent ||
      outcome == PublishOutcome::kSentAfterGap) {
    dialogue_->confirms().Add(message.confirm_id,
                              dialogue_->connection().sessions());
  }
  return outcome;
}

PublishOutcome Client::Flush(Deadline deadline) {
  const auto call = dialogue_->Enter();
  return outbound_->Flush({mode_, deadline});
}

absl::StatusOr<Confirmation> Client::PublishConfirmed(
    const MessageFields& message, absl::Duration timeout) {
  const auto call = dialogue_->Enter();
  const Deadline deadline = timeout;
  const uint64_t id = dialogue_->NextId();
  MessageFields confirmed = message;
  confirmed.confirm_id = Dialogue::kOwnConfirmIds + id;
  const PublishOutcome sent =
      outbound_->Send(confirmed, {Mode::kBlocking, deadline});
  if (sent != PublishOutcome::kSent) return outbound_->FailureOf(sent);
  const auto answer =
      dialogue_->AwaitAnswer(id, deadline.Rest(), "the confirmation");
  if (!answer.ok()) return Unknown(answer.status());
  Confirmation confirmation = ConfirmationFrom(answer->confirm());
  confirmation.confirm_id = message.confirm_id;
  return confirmation;
}

absl::StatusOr<Level> Client::Flush(Level level, absl::Duration timeout) {
  const auto call = dialogue_->Enter();
  pb::Frame frame;
  const uint64_t id = dialogue_->NextId();
  frame.mutable_ping()->set_token(id);
  const auto answer = dialogue_->Ask(frame, id, timeout, "the answer to Ping");
  if (!answer.ok()) return Unknown(answer.status());
  if (outbound_->TakeLosses() == Outbound::Losses::kUnknown) {
    return absl::UnavailableError(
        "a session was lost since the last Flush: it is not known which of its "
        "last messages were taken");
  }
  const Level reached = LevelFrom(answer->pong().level());
  if (reached >= level) return reached;
  return absl::FailedPreconditionError(
      "the broker does not say that it has reached that level; it is older "
      "than this client");
}

// Subscribing

absl::Status Client::Subscribe(std::string_view pattern,
                               const SubscribeOptions& options,
                               absl::Duration timeout) {
  const auto call = dialogue_->Enter();
  absl::Status status = Subscriptions::Check(pattern, options);
  if (!status.ok()) return status;
  dialogue_->Progress();
  if (dialogue_->connection().state() == Connection::State::kFailed) {
    return dialogue_->status();
  }
  Subscriptions& subscriptions = dialogue_->subscriptions();
  if (Subscriptions::Subscription* known =
          subscriptions.Find(pattern, options.group)) {
    if (!(known->options == options)) {
      return absl::AlreadyExistsError(fmt::format(
          "already subscribed to \"{}\" with other options", pattern));
    }
  } else {
    dialogue_->SendSubscribe(subscriptions.Add(pattern, options));
  }
  Subscriptions::Subscription& asked =
      *subscriptions.Find(pattern, options.group);
  asked.awaited = true;
  status = dialogue_->WaitFor(
      [&] { return asked.state != Subscriptions::State::kAsked; }, timeout,
      "the answer to Subscribe");
  asked.awaited = false;
  if (asked.state != Subscriptions::State::kRefused) return status;
  const absl::Status refusal = asked.refusal;
  subscriptions.Remove(pattern, options.group);
  return refusal;
}

absl::Status Client::Unsubscribe(std::string_view pattern,
                                 std::string_view group,
                                 absl::Duration timeout) {
  const auto call = dialogue_->Enter();
  dialogue_->Progress();
  if (dialogue_->connection().state() == Connection::State::kFailed) {
    return dialogue_->status();
  }
  Subscriptions& subscriptions = dialogue_->subscriptions();
  if (subscriptions.Find(pattern, group) == nullptr) {
    return absl::NotFoundError(
        fmt::format("not subscribed to \"{}\"{}{}", pattern,
                    group.empty() ? "" : " in group ", group));
  }
  subscriptions.Remove(pattern, group);
  if (dialogue_->connection().state() != Connection::State::kOpen) {
    return absl::OkStatus();  // the next session will not have it
  }
  pb::Frame frame;
  const uint64_t id = dialogue_->NextId();
  frame.mutable_unsubscribe()->set_request_id(id);
  frame.mutable_unsubscribe()->set_pattern(pattern.data(), pattern.size());
  frame.mutable_unsubscribe()->set_group(group.data(), group.size());
  const auto answer =
      dialogue_->Ask(frame, id, timeout, "the answer to Unsubscribe");
  // With its session the subscription is over too.
  return absl::IsUnavailable(answer.status()) ? absl::OkStatus()
                                              : answer.status();
}

Received Client::Receive(Deadline deadline) {
  const auto call = dialogue_->Enter();
  return inbound_->Receive({mode_, deadline});
}

void Client::Ack(uint64_t ack_id) {
  const auto call = dialogue_->Enter();
  inbound_->Answer(ack_id, AckVerdict::kDone);
}

void Client::Retry(uint64_t ack_id) {
  const auto call = dialogue_->Enter();
  inbound_->Answer(ack_id, AckVerdict::kRetry);
}

// Requests

absl::StatusOr<OwnedMessage> Client::Request(std::string_view topic,
                                             std::string_view payload,
                                             absl::Duration timeout) {
  MessageFields request;
  request.topic = topic;
  request.payload = payload;
  return Request(request, timeout);
}

absl::StatusOr<OwnedMessage> Client::Request(const MessageFields& request,
                                             absl::Duration timeout) {
  const auto call = dialogue_->Enter();
  return request_calls_->Ask(request, timeout);
}

SentRequest Client::SendRequest(const MessageFields& request,
                                absl::Duration timeout, Deadline deadline) {
  const auto call = dialogue_->Enter();
  return request_calls_->Send(request, timeout, {mode_, deadline});
}

PublishOutcome Client::Reply(const Received& request, std::string_view payload,
                             Deadline deadline) {
  MessageFields reply;
  reply.payload = payload;
  return Reply(request, reply, deadline);
}

PublishOutcome Client::Reply(const Received& request, MessageFields reply,
                             Deadline deadline) {
  const auto call = dialogue_->Enter();
  if (request.message.reply_topic.empty()) {
    return Refuse(absl::InvalidArgumentError(
        "the message wants no reply: it has no reply topic"));
  }
  reply.topic = request.message.reply_topic;
  return Publish(reply, deadline);
}

// Asking the broker

absl::Status Client::Ping(absl::Duration timeout) {
  const auto call = dialogue_->Enter();
  pb::Frame frame;
  const uint64_t id = dialogue_->NextId();
  frame.mutable_ping()->set_token(id);
  return dialogue_->Ask(frame, id, timeout, "the answer to Ping").status();
}

absl::StatusOr<pb::StatsReply> Client::AskForStats(std::string_view topic,
                                                   absl::Duration timeout) {
  const auto call = dialogue_->Enter();
  pb::Frame frame;
  const uint64_t id = dialogue_->NextId();
  frame.mutable_stats()->set_request_id(id);
  frame.mutable_stats()->set_topic(topic.data(), topic.size());
  auto answer = dialogue_->Ask(frame, id, timeout, "the answer to Stats");
  if (!answer.ok()) return answer.status();
  return std::move(*answer->mutable_stats_reply());
}

absl::StatusOr<pb::StatsReply> Client::Stats(absl::Duration timeout) {
  return AskForStats(/*topic=*/"", timeout);
}

absl::StatusOr<uint32_t> Client::CountSubscribers(std::string_view topic,
                                                  absl::Duration timeout) {
  const absl::Status name = CheckPublishTopic(topic);
  if (!name.ok()) return name;
  const auto stats = AskForStats(topic, timeout);
  if (!stats.ok()) return stats.status();
  for (const pb::StatsReply::Topic& entry : stats->topics()) {
    if (entry.name() == topic) return entry.subscribers();
  }
  return 0;
}

}  // namespace fifobus
