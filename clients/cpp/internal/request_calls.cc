#include "clients/cpp/internal/request_calls.h"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "clients/cpp/internal/connection.h"
#include "clients/cpp/internal/requests.h"
#include "clients/cpp/internal/subscriptions.h"
#include "fmt/format.h"

namespace fifobus {

absl::StatusOr<OwnedMessage> RequestCalls::Ask(const MessageFields& request,
                                               absl::Duration timeout) {
  const Deadline deadline = timeout;
  Requests& requests = dialogue_.requests();
  const SentRequest sent =
      SendUntold(request, timeout, {Mode::kBlocking, deadline});
  if (sent.request_id == 0) return outbound_.FailureOf(sent.outcome);
  const uint64_t id = sent.request_id;
  const uint64_t ends = dialogue_.connection().ends();
  requests.Await(id);
  const absl::Status waited = dialogue_.WaitFor(
      [&] {
        return !requests.IsOpen(id) || (dialogue_.connection().ends() != ends &&
                                        !dialogue_.IsToBeAnswered(id));
      },
      deadline.Rest(), "a reply");
  const auto failure = requests.TakeFailureOf(id);
  requests.Forget(id);
  if (std::optional<OwnedMessage> reply = requests.TakeAwaited()) {
    return *std::move(reply);
  }
  if (failure && failure->outcome == ReplyOutcome::kNoResponders) {
    return absl::NotFoundError(fmt::format(
        "no responders: nobody is subscribed to \"{}\"", request.topic));
  }
  if (!waited.ok()) return waited;
  const absl::Status inbox = OpenInbox();
  if (!inbox.ok()) return inbox;
  return absl::UnavailableError(
      "the session was lost: it is not known whether the request was worked "
      "on");
}

SentRequest RequestCalls::Send(const MessageFields& request,
                               absl::Duration timeout,
                               const Patience& patience) {
  SentRequest sent = SendUntold(request, timeout, patience);
  if (sent.outcome == PublishOutcome::kSent &&
      outbound_.TakeLosses() == Outbound::Losses::kUnknown) {
    sent.outcome = PublishOutcome::kSentAfterGap;
  }
  return sent;
}

SentRequest RequestCalls::SendUntold(const MessageFields& request,
                                     absl::Duration timeout,
                                     const Patience& patience) {
  const Deadline reply_deadline = timeout;
  Requests& requests = dialogue_.requests();
  if (requests.full()) {
    return Refuse(absl::ResourceExhaustedError(fmt::format(
        "{} requests are in flight: take replies by Receive", Requests::kMax)));
  }
  const absl::Status inbox = OpenInbox();
  if (!inbox.ok()) return Refuse(inbox);
  const uint64_t id = dialogue_.NextId();
  const std::string reply_topic = requests.ReplyTopic(id);
  MessageFields message = request;
  message.reply_topic = reply_topic;
  message.confirm_id = Dialogue::kOwnConfirmIds + id;
  if (message.expiry_unix_nanos == 0 && timeout != absl::InfiniteDuration()) {
    // By the wall clock, as all expiry is.
    message.expiry_unix_nanos =
        static_cast<uint64_t>(absl::ToUnixNanos(absl::Now() + timeout));
  }
  const PublishOutcome outcome = outbound_.Send(message, patience);
  if (outcome != PublishOutcome::kSent) return {outcome};
  requests.Add(id, reply_deadline, dialogue_.connection().sessions());
  // The refusal may have come while the request waited to be sent.
  if (!OpenInbox().ok()) requests.OnInboxLost();
  dialogue_.connection().WakeAt(requests.NextDeadline());
  return {outcome, id};
}

SentRequest RequestCalls::Refuse(absl::Status status) {
  dialogue_.SetRefusal(std::move(status));
  return {PublishOutcome::kRefused};
}

// The subscription goes ahead of the request in `up`. So the broker has made it
// when it publishes the request, and nothing waits for Subscribed here.
absl::Status RequestCalls::OpenInbox() {
  dialogue_.Progress();
  Subscriptions& subscriptions = dialogue_.subscriptions();
  const std::string pattern = dialogue_.requests().Pattern();
  if (const Subscriptions::Subscription* inbox =
          subscriptions.Find(pattern, "")) {
    return inbox->refusal;
  }
  SubscribeOptions options;
  options.skip_retained = true;
  Subscriptions::Subscription& inbox = subscriptions.Add(pattern, options);
  inbox.internal = true;
  dialogue_.SendSubscribe(inbox);
  return absl::OkStatus();
}

}  // namespace fifobus
