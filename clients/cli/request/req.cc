#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "clients/cli/await_subscribers.h"
#include "clients/cli/bus_options.h"
#include "clients/cli/commands.h"
#include "clients/cli/message_options.h"
#include "clients/cli/output.h"
#include "clients/cli/request/reply_headers.h"
#include "clients/cpp/deadline.h"
#include "fmt/format.h"
#include "proto/message_text.h"

namespace fifobus::cli {
namespace {

struct ReqOptions {
  BusOptions bus;
  MessageOptions about;
  std::string topic;
  std::optional<std::string> message;
  absl::Duration timeout = absl::Seconds(5);
  uint32_t wait_subscribers = 0;
  bool json = false;
  bool raw = false;
};

Exit Print(const Received& got, const ReqOptions& options) {
  Output output;
  if (options.json) {
    AppendJsonLine(got.message, got.delivery, output.text());
  } else {
    output.text() += got.message.payload;
    // What a command printed ends with a newline already.
    if (!options.raw && !got.message.payload.ends_with('\n')) {
      output.text() += '\n';
    }
  }
  Exit exit = ExitOf(output.Flush(), kDone);
  HeaderReader headers(got.message);
  while (const std::optional<HeaderView> header = headers.Next()) {
    if (header->name == kExitCodeHeader) {
      exit = Fail(absl::AbortedError(fmt::format(
          "the responder's command ended with exit code {}", header->value)));
    } else if (header->name == kErrorHeader) {
      exit = Fail(absl::AbortedError(
          fmt::format("the responder failed: {}", header->value)));
    }
  }
  return exit;
}

Exit OnOver(const Received& got, const ReqOptions& options) {
  switch (got.reply_outcome) {
    case ReplyOutcome::kAnswered:
      return Print(got, options);
    case ReplyOutcome::kNoResponders:
      return Fail(absl::NotFoundError(
          fmt::format("no responders: nobody is subscribed to \"{}\"; start "
                      "one: fifobus reply {} --exec CMD",
                      options.topic, options.topic)));
    case ReplyOutcome::kTimedOut:
      return Fail(absl::DeadlineExceededError(
          fmt::format("no reply in {}; the request may still be worked on",
                      absl::FormatDuration(options.timeout))));
    case ReplyOutcome::kUnknown:
      break;
  }
  return Fail(absl::UnavailableError(
      "the broker died: it is not known whether the request was worked on"));
}

// Until the reply, or until it is known that none will come.
Exit AwaitReply(Client& client, const ReqOptions& options) {
  while (true) {
    const Received got = client.Receive();
    if (got.outcome == ReceiveOutcome::kReply) return OnOver(got, options);
    if (got.outcome == ReceiveOutcome::kDisconnected) {
      return Fail(client.status());
    }
  }
}

Exit Req(const ReqOptions& options) {
  // Before there is a session, which a slow input would leave unattended.
  absl::StatusOr<std::string> payload =
      options.message ? *options.message : ReadAllInput();
  if (!payload.ok()) return Fail(payload.status());
  const Deadline deadline = options.timeout;
  auto client = ConnectClient(options.bus, "fifobus req", /*client_options=*/{},
                              options.timeout);
  if (!client.ok()) return Fail(client.status());
  if (options.wait_subscribers > 0) {
    const absl::Status status = AwaitSubscribers(
        **client, options.topic, options.wait_subscribers, deadline);
    if (!status.ok()) return Fail(status);
  }
  MessageFields request;
  std::vector<HeaderView> headers;
  options.about.Fill(request, headers);
  request.topic = options.topic;
  request.payload = *payload;
  const SentRequest sent =
      (*client)->SendRequest(request, deadline.Rest(), deadline);
  if (sent.request_id != 0) return AwaitReply(**client, options);
  return sent.outcome == PublishOutcome::kTimedOut
             ? Fail(absl::DeadlineExceededError(
                   "the broker did not take the request in time"))
             : Fail((*client)->status());
}

}  // namespace

void AddReq(Command& program) {
  Command& req = program.Add(
      "req",
      "send a request and print the reply; exit code 1 without a responder, 3 "
      "without an answer in time");
  auto options = std::make_shared<ReqOptions>();
  options->bus.AddTo(req);
  req.AddText("TOPIC", options->topic, "where responders are subscribed")
      .Required();
  req.AddText("MESSAGE", options->message,
              "the request; without it all of standard input");
  req.AddDuration("--timeout", options->timeout,
                  "how long to wait for the reply, and before that for a "
                  "broker and subscribers; then exit code 3 [5s]");
  req.AddCount("--wait-subscribers N", options->wait_subscribers, kAnyCount,
               "wait until the topic has N subscribers, then send the request");
  options->about.AddTo(req);
  const Option json = req.AddFlag("--json", options->json,
                                  "one JSON object, with all metadata");
  req.AddFlag("--raw", options->raw, "no newline after the reply")
      .Excludes({json});
  req.Explain(
      "Examples:\n"
      "  fifobus req time now\n"
      "  echo hello | fifobus req shout --timeout 2s");
  req.OnRun([options] { return Req(*options); });
}

}  // namespace fifobus::cli
