#include "clients/cpp/client.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "clients/cpp/internal/confirm_calls.h"
#include "clients/cpp/internal/connection.h"
#include "clients/cpp/internal/dialogue.h"
#include "clients/cpp/internal/group_leave.h"
#include "clients/cpp/internal/hello.h"
#include "clients/cpp/internal/inbound.h"
#include "clients/cpp/internal/message_check.h"
#include "clients/cpp/internal/outbound.h"
#include "clients/cpp/internal/patience.h"
#include "clients/cpp/internal/request_calls.h"
#include "fmt/format.h"
#include "proto/frame.pb.h"

namespace fifobus {
namespace {

// How long the destructor waits for what is not written.
constexpr absl::Duration kLastFlush = absl::Seconds(1);

}  // namespace

absl::StatusOr<std::unique_ptr<Client>> Client::Start(ClientOptions options) {
  const absl::Status status = CheckOptions(options);
  if (!status.ok()) return status;
  Connection::Options connection_options;
  connection_options.dir = options.dir;
  connection_options.hello = HelloOf(options);
  connection_options.reconnect = options.reconnect;
  connection_options.receive_bytes_max = options.receive_bytes_max;
  auto connection = Connection::Make(std::move(connection_options));
  if (!connection.ok()) return connection.status();
  const Numbering numbering(options.publisher.empty()
                                ? Numbering::Publisher::kUnnamed
                                : Numbering::Publisher::kNamed);
  auto client = std::unique_ptr<Client>(
      new Client(options.mode,
                 std::make_unique<Dialogue>(*std::move(connection), numbering,
                                            options.resend_bytes_max)));
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
      confirm_calls_(std::make_unique<ConfirmCalls>(*dialogue_, *outbound_)),
      mode_(mode) {}

Client::~Client() {
  const auto call = dialogue_->Enter();
  Connection& connection = dialogue_->connection();
  const Deadline deadline = kLastFlush;
  const Patience patience = {Mode::kBlocking, deadline};
  // A session that ends here leaves to the next one what it had not got.
  do {
    if (dialogue_->HasRemains()) (void)outbound_->Flush(patience);
    if (connection.state() != Connection::State::kOpen) return;
    SayGoodbye(patience);
  } while (dialogue_->HasRemains() && !deadline.HasCome());
}

void Client::SayGoodbye(const Patience& patience) {
  Connection& connection = dialogue_->connection();
  dialogue_->SendPositions();
  const uint64_t taken_along = LeaveGroups(*dialogue_, patience.deadline);
  // Another session may take the reader over before the broker has read on.
  if (dialogue_->positions().HasAcked()) (void)Ping(patience.deadline.Rest());
  if (connection.state() != Connection::State::kOpen) return;
  pb::Frame frame;
  frame.mutable_goodbye()->set_reason("the client leaves");
  frame.mutable_goodbye()->set_taken_along(taken_along);
  AppendFrame(frame, connection.out());
  (void)outbound_->FlushSession(patience);
}

int Client::fd() const { return dialogue_->connection().fd(); }

const absl::Status& Client::status() const { return dialogue_->status(); }

uint64_t Client::expired_messages() const {
  return dialogue_->expired_messages();
}

uint64_t Client::resent_messages() const {
  return dialogue_->taken_back().resent_messages();
}

uint64_t Client::lost_messages() const {
  return dialogue_->taken_back().lost_messages();
}

uint64_t Client::restarts() const { return inbound_->restarts(); }

Client::Bounds Client::bounds() const {
  const Connection& connection = dialogue_->connection();
  return {connection.queue_bytes_max(), connection.queue_messages_max()};
}

std::string_view Client::broker_version() const {
  return dialogue_->connection().broker_version();
}

PublishOutcome Client::Refuse(absl::Status status) {
  dialogue_->SetRefusal(std::move(status));
  return PublishOutcome::kRefused;
}

void Client::BeginBatch() { dialogue_->BeginBatch(); }

void Client::EndBatch() {
  const auto call = dialogue_->Enter();
  dialogue_->EndBatch();
  if (dialogue_->batching()) return;
  (void)outbound_->FlushSession({mode_, Deadline::Never()});
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
  if (message.confirm_id != 0) {
    return confirm_calls_->PublishTracked(message, {mode_, deadline});
  }
  return outbound_->Publish(message, {mode_, deadline});
}

PublishOutcome Client::Flush(Deadline deadline) {
  const auto call = dialogue_->Enter();
  return outbound_->Flush({mode_, deadline});
}

absl::StatusOr<Confirmation> Client::PublishConfirmed(
    const MessageFields& message, Level level, absl::Duration timeout) {
  const auto call = dialogue_->Enter();
  return confirm_calls_->Publish(message, level, timeout);
}

absl::StatusOr<Level> Client::Flush(Level level, absl::Duration timeout) {
  const auto call = dialogue_->Enter();
  return confirm_calls_->Flush(level, timeout);
}

const std::vector<StoredMark>& Client::publisher_marks() const {
  return dialogue_->connection().publisher_marks();
}

uint64_t Client::last_sequence() const { return dialogue_->numbering().last(); }

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
  } else if (const Subscriptions::Subscription* other =
                 subscriptions.FindOverlap(pattern, options)) {
    return absl::FailedPreconditionError(
        fmt::format("\"{}\" and \"{}\" have topics in common, and this client "
                    "reads the log by the latter: make another client",
                    pattern, other->pattern));
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
  dialogue_->positions().OnRemove(&asked);
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
  const Subscriptions::Subscription* const known =
      subscriptions.Find(pattern, group);
  if (known == nullptr) {
    return absl::NotFoundError(
        fmt::format("not subscribed to \"{}\"{}{}", pattern,
                    group.empty() ? "" : " in group ", group));
  }
  dialogue_->SendPositions();
  dialogue_->positions().OnRemove(known);
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

void Client::Extend(uint64_t ack_id) {
  const auto call = dialogue_->Enter();
  inbound_->Answer(ack_id, AckVerdict::kExtend);
}

void Client::Done(const Received& received) {
  const auto call = dialogue_->Enter();
  inbound_->Done(received);
}

std::optional<ReadPosition> Client::read_position(
    std::string_view pattern, std::string_view group) const {
  const Subscriptions::Subscription* const known =
      dialogue_->subscriptions().Find(pattern, group);
  if (known == nullptr || known->log.empty()) return std::nullopt;
  return ReadPosition{known->log, known->next_offset};
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

absl::StatusOr<pb::LogReply> Client::AskLog(const pb::LogRequest& request,
                                            absl::Duration timeout) {
  const auto call = dialogue_->Enter();
  pb::Frame frame;
  const uint64_t id = dialogue_->NextId();
  *frame.mutable_log_request() = request;
  frame.mutable_log_request()->set_request_id(id);
  auto answer = dialogue_->Ask(frame, id, timeout, "the answer to LogRequest");
  if (!answer.ok()) return answer.status();
  return std::move(*answer->mutable_log_reply());
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
