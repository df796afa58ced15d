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
    : client_(client),
      options_(options),
      output_watch_(options.confirm ? StandardOutputWatch()
                                    : pollfd{-1, 0, 0}) {
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

absl::Status Publisher::AwaitTurn() {
  const absl::Duration now = MonotonicNow();
  const absl::Duration due = pacer_->Next(now);
  if (now >= due) return absl::OkStatus();
  const absl::Status status = Flush();
  return status.ok() ? Await(-1, due - now) : status;
}

absl::Status Publisher::Await(int input, Deadline deadline) {
  std::array<pollfd, 2> polled = {{{input, POLLIN, 0}, output_watch_}};
  const absl::Status status = AttendUntil(client_, deadline, polled);
  if (!status.ok() || polled[1].revents == 0) return status;
  written_ = Output::Outcome::kReaderGone;
  return absl::CancelledError("standard output");
}

absl::Status Publisher::Finish() {
  const absl::Status status =
      client_.Flush(Level::kAccepted, kAnswerPatience).status();
  if (!absl::IsDeadlineExceeded(status)) return status;
  // Subscribers are slow, or the broker is away. A loss would be known by now.
  const PublishOutcome outcome = client_.Flush(Deadline::Now());
  return outcome == PublishOutcome::kTimedOut ? absl::OkStatus()
                                              : Report(outcome);
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

absl::Status Publisher::Report(PublishOutcome outcome) {
  switch (outcome) {
    case PublishOutcome::kSent:
      return absl::OkStatus();
    case PublishOutcome::kSentAfterGap:
      lost_ = true;
      Warn(
          fmt::format("the session with the broker was lost: it is not known "
                      "which of the messages up to number {} have arrived",
                      sequence_));
      return absl::OkStatus();
    default:
      return client_.status();
  }
}

}  // namespace fifobus::cli
