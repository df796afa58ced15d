#include "clients/cli/pub/publisher.h"

#include <array>

#include "broker/base/clock.h"
#include "clients/cli/attend.h"
#include "fmt/format.h"

namespace fifobus::cli {
namespace {

// How long the end waits until the broker has read everything. What is left
// then, because subscribers are slow, it reads when this process is gone.
constexpr absl::Duration kAnswerPatience = absl::Seconds(1);

}  // namespace

Publisher::Publisher(Client& client, const PubOptions& options)
    : client_(client), options_(options) {
  if (options.confirm) confirmer_.emplace(client, options);
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

absl::Status Publisher::Flush() {
  const PublishOutcome outcome = client_.Flush();
  if (!confirmer_) return Report(outcome);
  // What was lost, its confirmations tell.
  return outcome == PublishOutcome::kDisconnected ? Disconnected()
                                                  : absl::OkStatus();
}

// The broker has said why, or only that it is gone.
absl::Status Publisher::Disconnected() {
  const absl::Status status = confirmer_->Take();
  return status.ok() ? client_.status() : status;
}

absl::Status Publisher::Send(MessageFields& message) {
  if (pacer_) {
    const absl::Status status = AwaitTurn();
    if (!status.ok()) return status;
  }
  ++published_;
  // A publisher with a name is numbered by the client, unless it is repeating
  // what it may have stored.
  if (options_.publisher.empty() || options_.resume) {
    message.sequence = published_;
  }
  return confirmer_ ? PublishConfirmed(message)
                    : Report(client_.Publish(message));
}

absl::Status Publisher::AwaitTurn() {
  const absl::Duration now = MonotonicNow();
  const absl::Duration due = pacer_->Next(now);
  if (now >= due) return absl::OkStatus();
  const absl::Status status = Flush();
  return status.ok() ? Await(-1, due - now) : status;
}

absl::Status Publisher::Await(int input, Deadline deadline) {
  if (confirmer_) return confirmer_->Await(input, deadline);
  std::array<pollfd, 1> polled = {{{input, POLLIN, 0}}};
  return AttendUntil(client_, deadline, polled);
}

absl::Status Publisher::Finish() {
  if (confirmer_) return FinishConfirmed();
  const absl::Status status =
      client_.Flush(Level::kAccepted, kAnswerPatience).status();
  if (!absl::IsDeadlineExceeded(status)) return status;
  // Subscribers are slow, or the broker is away. A loss would be known by now.
  const PublishOutcome outcome = client_.Flush(Deadline::Now());
  return outcome == PublishOutcome::kTimedOut ? absl::OkStatus()
                                              : Report(outcome);
}

absl::Status Publisher::FinishConfirmed() {
  const absl::Status status = confirmer_->AwaitAll();
  if (confirmer_->duplicates() > 0) {
    Warn(fmt::format(
        "{} of {} messages were in the log already and are not stored again",
        confirmer_->duplicates(), published_));
  }
  return status;
}

absl::Status Publisher::PublishConfirmed(MessageFields& message) {
  confirmer_->Ask(message);
  switch (client_.Publish(message, options_.timeout)) {
    case PublishOutcome::kSent:
    case PublishOutcome::kSentAfterGap:
      return confirmer_->OnPublished();
    case PublishOutcome::kWouldBlock:
    case PublishOutcome::kTimedOut:
      return absl::DeadlineExceededError(
          "a message was not sent in time, because the broker does not read "
          "on: subscribers are slow, or a log is");
    case PublishOutcome::kRefused:
    case PublishOutcome::kDisconnected:
      break;
  }
  return absl::IsInvalidArgument(client_.status()) ? client_.status()
                                                   : Disconnected();
}

absl::Status Publisher::Report(PublishOutcome outcome) {
  switch (outcome) {
    case PublishOutcome::kSent:
      return absl::OkStatus();
    case PublishOutcome::kSentAfterGap:
      lost_ = true;
      Warn(
          fmt::format("the session with the broker was lost: it is not known "
                      "which of the messages up to number {} have arrived",
                      published_));
      return absl::OkStatus();
    default:
      return client_.status();
  }
}

}  // namespace fifobus::cli
