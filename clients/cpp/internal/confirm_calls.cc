#include "clients/cpp/internal/confirm_calls.h"

#include <cstdint>
#include <string>
#include <utility>

#include "clients/cpp/deadline.h"
#include "clients/cpp/internal/confirms.h"
#include "clients/cpp/internal/connection.h"
#include "fmt/format.h"
#include "proto/frame.pb.h"

namespace fifobus {
namespace {

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

PublishOutcome ConfirmCalls::Refuse(absl::Status status) {
  dialogue_.SetRefusal(std::move(status));
  return PublishOutcome::kRefused;
}

PublishOutcome ConfirmCalls::PublishTracked(const MessageFields& message,
                                            const Patience& patience) {
  Confirms& confirms = dialogue_.confirms();
  if (message.confirm_id >= Confirms::kOwnIds) {
    return Refuse(absl::InvalidArgumentError(
        "a confirm_id must be below 2^63: the others are the library's"));
  }
  if (confirms.full()) {
    return Refuse(absl::ResourceExhaustedError(fmt::format(
        "{} confirmations are awaited: take them by Receive", Confirms::kMax)));
  }
  const PublishOutcome outcome = outbound_.Publish(message, patience);
  const bool is_sent = outcome == PublishOutcome::kSent ||
                       outcome == PublishOutcome::kSentAfterGap;
  // What is kept was added with its frame.
  if (is_sent && !confirms.Keeps(message)) {
    confirms.Add(message.confirm_id, dialogue_.connection().sessions());
  }
  return outcome;
}

absl::StatusOr<Confirmation> ConfirmCalls::Publish(const MessageFields& message,
                                                   Level level,
                                                   absl::Duration timeout) {
  const Deadline deadline = timeout;
  const uint64_t id = dialogue_.NextId();
  MessageFields confirmed = message;
  confirmed.confirm_id = Confirms::kOwnIds + id;
  confirmed.confirm_level = LevelInFrame(level);
  const PublishOutcome sent =
      outbound_.Send(confirmed, {Mode::kBlocking, deadline});
  if (sent != PublishOutcome::kSent) return outbound_.FailureOf(sent);
  absl::StatusOr<pb::Frame> answer;
  do {
    answer = dialogue_.AwaitAnswer(id, deadline.Rest(), "the confirmation");
    // What is kept goes on in the next session.
  } while (absl::IsUnavailable(answer.status()) &&
           dialogue_.confirms().Keeps(confirmed) &&
           dialogue_.connection().state() != Connection::State::kFailed);
  if (!answer.ok()) return Unknown(answer.status());
  Confirmation confirmation = ConfirmationFrom(answer->confirm());
  confirmation.confirm_id = message.confirm_id;
  const absl::Status reached =
      CheckReached(fmt::format("the message on \"{}\" is", message.topic),
                   level, confirmation.level, confirmation.failure);
  if (!reached.ok()) return reached;
  return confirmation;
}

absl::StatusOr<Level> ConfirmCalls::Flush(Level level, absl::Duration timeout) {
  pb::Frame frame;
  const uint64_t id = dialogue_.NextId();
  frame.mutable_ping()->set_token(id);
  if (level > Level::kAccepted) {
    frame.mutable_ping()->set_level(
        static_cast<pb::Confirm::Level>(LevelInFrame(level)));
  }
  const auto answer = dialogue_.Ask(frame, id, timeout, "the answer to Ping");
  if (!answer.ok()) return Unknown(answer.status());
  if (outbound_.TakeLosses() == Outbound::Losses::kUnknown) {
    return absl::UnavailableError(
        "a session was lost since the last Flush: it is not known which of its "
        "last messages were taken");
  }
  const Level reached = LevelFrom(answer->pong().level());
  const absl::Status status =
      CheckReached("of the messages before some are", level, reached,
                   FailureFrom(answer->pong().failure()));
  if (!status.ok()) return status;
  return reached;
}

}  // namespace fifobus
