#include "clients/cli/pub/publisher.h"

#include <cstdio>

#include "absl/time/clock.h"
#include "fmt/format.h"

namespace fifobus::cli {

Publisher::Publisher(Client& client, const PubOptions& options)
    : client_(client), options_(options) {
  if (options.rate > 0) pacer_.emplace(absl::Seconds(1) / options.rate);
}

absl::Status Publisher::Publish(std::string_view payload) {
  MessageFields message;
  options_.about.Fill(message, headers_);
  message.topic = options_.topic;
  message.payload = payload;
  message.retain = options_.retain;
  return Send(message);
}

absl::Status Publisher::Publish(const OwnedMessage& given) {
  MessageFields message;
  options_.about.Fill(message, headers_);
  for (const OwnedMessage::Header& header : given.headers) {
    headers_.push_back({header.name, header.value});
  }
  message.headers = headers_;
  message.topic = options_.topic.empty() ? given.topic : options_.topic;
  message.payload = given.payload;
  message.reply_topic = given.reply_topic;
  if (!given.content_type.empty()) message.content_type = given.content_type;
  if (given.expiry_unix_nanos != 0) {
    message.expiry_unix_nanos = given.expiry_unix_nanos;
  }
  message.retain = options_.retain || given.retain;
  if (message.topic.empty()) {
    return absl::InvalidArgumentError("there is no topic");
  }
  return Send(message);
}

absl::Status Publisher::Flush() { return Report(client_.Flush()); }

absl::Status Publisher::Send(MessageFields& message) {
  if (pacer_) {
    const absl::Status status = AwaitTurn();
    if (!status.ok()) return status;
  }
  message.sequence = ++sequence_;
  return options_.confirm ? PublishConfirmed(message)
                          : Report(client_.Publish(message));
}

// Serves the session while it waits: a broker that stops waits for the answers
// of its clients.
absl::Status Publisher::AwaitTurn() {
  const absl::Time due = pacer_->Next(absl::Now());
  if (absl::Now() >= due) return absl::OkStatus();
  const absl::Status status = Flush();
  if (!status.ok()) return status;
  client_.set_mode(Mode::kNonBlocking);
  while (absl::Now() < due) {
    WaitReadable(client_, due);
    if (client_.Receive().outcome == ReceiveOutcome::kDisconnected) {
      return client_.status();
    }
  }
  client_.set_mode(Mode::kBlocking);
  return absl::OkStatus();
}

absl::Status Publisher::PublishConfirmed(const MessageFields& message) {
  const auto confirmation = client_.PublishConfirmed(message, options_.timeout);
  if (!confirmation.ok()) return confirmation.status();
  confirmations_.text() += fmt::format(
      "accepted {} {}\n", confirmation->sessions, confirmation->taps);
  written_ = confirmations_.Flush();
  return written_ == Output::Outcome::kWritten
             ? absl::OkStatus()
             : absl::CancelledError("standard output");
}

absl::Status Publisher::Report(PublishOutcome outcome) const {
  switch (outcome) {
    case PublishOutcome::kSent:
      return absl::OkStatus();
    case PublishOutcome::kSentAfterGap:
      fmt::print(stderr,
                 "fifobus: the broker was restarted; an unknown number of "
                 "the messages before {} is lost\n",
                 sequence_);
      return absl::OkStatus();
    default:
      return client_.status();
  }
}

}  // namespace fifobus::cli
