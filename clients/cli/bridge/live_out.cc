#include "clients/cli/bridge/live_out.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "clients/cli/bridge/message_headers.h"
#include "clients/cli/bridge/publish_fields.h"
#include "clients/cli/bridge/reply_times.h"
#include "clients/cli/bridge/text.h"
#include "proto/frame_writer.h"

namespace fifobus::bridge {
namespace {

constexpr absl::Duration kSubscribePatience = absl::Seconds(5);

// Requests that are awaited at once. Not tuned.
constexpr size_t kAskedMax = 65536;

}  // namespace

absl::StatusOr<std::unique_ptr<LiveOut>> LiveOut::Open(
    const MapSurroundings& surroundings, const MapConfig& config,
    std::string inbox, ClientOptions options) {
  auto client = Client::Connect(std::move(options));
  if (!client.ok()) return client.status();
  SubscribeOptions subscribe;
  subscribe.skip_retained = true;
  const absl::Status status =
      (*client)->Subscribe(config.pattern, subscribe, kSubscribePatience);
  if (!status.ok()) return status;
  (*client)->set_mode(Mode::kNonBlocking);
  return std::unique_ptr<LiveOut>(
      new LiveOut(surroundings, config, std::move(inbox), *std::move(client)));
}

LiveOut::LiveOut(const MapSurroundings& surroundings, const MapConfig& config,
                 std::string inbox, std::unique_ptr<Client> client)
    : around_(surroundings),
      config_(config),
      inbox_(std::move(inbox)),
      client_(std::move(client)) {}

void LiveOut::OnConnected(size_t payload_bytes_max) {
  payload_bytes_max_ = payload_bytes_max;
}

void LiveOut::OnBus() {
  while (status_.ok()) {
    const Received received = client_->Receive();
    switch (received.outcome) {
      case ReceiveOutcome::kMessage:
        Pass(received);
        break;
      case ReceiveOutcome::kGap:
        counters_.missed += received.gap.messages;
        break;
      case ReceiveOutcome::kDisconnected:
        status_ = client_->status();
        break;
      case ReceiveOutcome::kTimedOut:
      case ReceiveOutcome::kWouldBlock:
        return;
      case ReceiveOutcome::kConfirmation:
      case ReceiveOutcome::kReply:
      case ReceiveOutcome::kCaughtUp:
        break;
    }
  }
}

std::string LiveOut::Await(const MessageView& request) {
  if (asked_.size() >= kAskedMax) return "";
  ++asked_last_;
  asked_.emplace(asked_last_,
                 Asked{std::string(request.reply_topic),
                       Deadline(TimeForReply(request, absl::Now()))});
  return Concat(inbox_, ".r.", asked_last_);
}

void LiveOut::Pass(const Received& received) {
  const MessageView& message = received.message;
  if (CameOverBridge(message)) {
    ++counters_.returned;
    return;
  }
  const auto subject = SubjectOf(config_.names, message.topic);
  NatsMessage out;
  out.headers = HeadersForNats(message, DeliveryView(), around_.config.origin);
  AddTimeLeft(message, absl::Now(), out.headers);
  out.payload = message.payload;
  if (!subject.ok() || payload_bytes_max_ == 0 ||
      out.wire_bytes() > payload_bytes_max_) {
    ++counters_.dropped;
    return;
  }
  out.subject = *subject;
  if (!message.reply_topic.empty()) out.reply = Await(message);
  ++(around_.nats.Send(std::move(out)) == SendOutcome::kQueued
         ? counters_.passed
         : counters_.dropped);
}

void LiveOut::OnNats(std::string_view token, NatsMessage message) {
  if (!token.starts_with("r.")) return;
  const uint64_t number = ReadNumber(token.substr(2)).value_or(0);
  // The first reply is the reply; a status says that nobody is there.
  const auto asked = asked_.find(number);
  if (asked == asked_.end() || message.header("Status")) return;
  OwnedMessage reply = MessageForBus(message);
  reply.topic = asked->second.reply_topic;
  const PublishOutcome outcome = client_->Publish(PublishFields(reply).fields);
  if (outcome != PublishOutcome::kSent &&
      outcome != PublishOutcome::kSentAfterGap) {
    ++counters_.dropped;
  }
  asked_.erase(asked);
}

Deadline LiveOut::next_time() const {
  return asked_.empty() ? Deadline::Never() : asked_.begin()->second.until;
}

void LiveOut::OnTime() {
  // The oldest that has come; those behind it that have come earlier wait for
  // their turn, since kAskedMax bounds them.
  while (!asked_.empty() && asked_.begin()->second.until.HasCome()) {
    asked_.erase(asked_.begin());
  }
}

}  // namespace fifobus::bridge
