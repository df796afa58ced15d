#include "clients/cli/bridge/live_in.h"

#include <utility>
#include <vector>

#include "clients/cli/bridge/message_headers.h"
#include "clients/cli/bridge/publish_fields.h"
#include "clients/cli/bridge/reply_times.h"
#include "clients/cli/bridge/text.h"
#include "proto/frame_writer.h"

namespace fifobus::bridge {

absl::StatusOr<std::unique_ptr<LiveIn>> LiveIn::Open(
    const MapSurroundings& surroundings, const MapConfig& config,
    ClientOptions options) {
  auto client = Client::Connect(std::move(options));
  if (!client.ok()) return client.status();
  (*client)->set_mode(Mode::kNonBlocking);
  return std::unique_ptr<LiveIn>(
      new LiveIn(surroundings, config, *std::move(client)));
}

LiveIn::LiveIn(const MapSurroundings& surroundings, const MapConfig& config,
               std::unique_ptr<Client> client)
    : around_(surroundings), config_(config), client_(std::move(client)) {}

void LiveIn::OnConnected(size_t payload_bytes_max) {
  payload_bytes_max_ = payload_bytes_max;
}

void LiveIn::OnBus() {
  while (status_.ok()) {
    const Received received = client_->Receive();
    switch (received.outcome) {
      case ReceiveOutcome::kReply:
        OnReply(received);
        break;
      case ReceiveOutcome::kDisconnected:
        status_ = client_->status();
        break;
      case ReceiveOutcome::kTimedOut:
      case ReceiveOutcome::kWouldBlock:
        return;
      case ReceiveOutcome::kMessage:
      case ReceiveOutcome::kGap:
      case ReceiveOutcome::kConfirmation:
      case ReceiveOutcome::kCaughtUp:
        break;
    }
  }
}

void LiveIn::OnReply(const Received& received) {
  const auto found = reply_subjects_.find(received.request_id);
  if (found == reply_subjects_.end()) return;
  NatsMessage reply;
  reply.subject = std::move(found->second);
  reply_subjects_.erase(found);
  if (received.reply_outcome != ReplyOutcome::kAnswered) return;
  reply.payload = received.message.payload;
  reply.headers =
      HeadersForNats(received.message, DeliveryView(), around_.config.origin);
  if (reply.wire_bytes() > payload_bytes_max_ ||
      around_.nats.Send(std::move(reply)) != SendOutcome::kQueued) {
    ++counters_.dropped;
  }
}

void LiveIn::OnNats(std::string_view /*token*/, NatsMessage message) {
  if (IsFrom(message, around_.config.origin)) {
    ++counters_.returned;
    return;
  }
  const auto topic = TopicOf(config_.names, message.subject);
  if (!topic.ok()) {
    const absl::Status put = around_.dead_letters.Put(
        config_.name, message.subject, DeadReason::kNoTopic,
        MessageOf(topic.status()), message.payload);
    ++(put.ok() ? counters_.set_aside : counters_.dropped);
    return;
  }
  OwnedMessage in = MessageForBus(message);
  in.topic = *topic;
  PublishFields publish(in);
  MessageFields& fields = publish.fields;
  PublishOutcome outcome;
  if (message.reply.empty()) {
    fields.reply_topic = in.reply_topic;
    fields.expiry_unix_nanos = in.expiry_unix_nanos;
    outcome = client_->Publish(fields);
  } else {
    const auto sent = client_->SendRequest(fields, TimeForReply(message));
    outcome = sent.outcome;
    if (outcome == PublishOutcome::kSent ||
        outcome == PublishOutcome::kSentAfterGap) {
      reply_subjects_.emplace(sent.request_id, std::move(message.reply));
    }
  }
  const bool passed = outcome == PublishOutcome::kSent ||
                      outcome == PublishOutcome::kSentAfterGap;
  ++(passed ? counters_.passed : counters_.dropped);
}

}  // namespace fifobus::bridge
