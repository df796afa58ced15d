#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/time/clock.h"
#include "clients/cli/bus_options.h"
#include "clients/cli/commands.h"
#include "clients/cli/message_options.h"
#include "clients/cli/output.h"
#include "clients/cli/pub/json_message.h"
#include "clients/cli/pub/pub_options.h"
#include "clients/cli/pub/publisher.h"
#include "fmt/format.h"

namespace fifobus::cli {
namespace {

// How often --wait-subscribers asks the broker. Not tuned.
constexpr absl::Duration kAskInterval = absl::Milliseconds(20);

// How long the end waits for the broker to have read everything. What it has
// not, because subscribers are slow, it reads when this process is gone.
constexpr absl::Duration kRefusalPatience = absl::Seconds(1);

// Lines of JSON, those that are bad passed over.
class JsonLines {
 public:
  explicit JsonLines(Publisher& publisher) : publisher_(publisher) {}

  absl::Status Publish(std::string_view line) {
    ++number_;
    if (line.empty()) return absl::OkStatus();
    const auto message = ParseJsonMessage(line);
    const absl::Status status =
        message.ok() ? publisher_.Publish(*message) : message.status();
    if (!absl::IsInvalidArgument(status)) return status;
    ++bad_;
    (void)Fail(absl::InvalidArgumentError(
        fmt::format("line {}: {}", number_, std::string(status.message()))));
    return absl::OkStatus();
  }

  uint64_t bad() const { return bad_; }

 private:
  Publisher& publisher_;
  uint64_t number_ = 0;
  uint64_t bad_ = 0;
};

// Each part of the input that ends with `separator`; the last one needs none.
// What is there is published as one batch, so that neither a slow writer waits
// for its lines to go out nor a fast one pays a system call for each.
template <typename Publish>
absl::Status PublishParts(Client& client, Publisher& publisher, char separator,
                          Publish publish) {
  std::string pending;
  std::array<char, 65536> buffer;
  while (true) {
    const auto bytes = ReadInput(buffer.data(), buffer.size());
    if (!bytes.ok()) return bytes.status();
    if (*bytes == 0) break;
    pending.append(buffer.data(), *bytes);
    std::string_view parts = pending;
    const Batch batch(client);
    for (size_t end; (end = parts.find(separator)) != std::string_view::npos;) {
      const absl::Status status = publish(parts.substr(0, end));
      if (!status.ok()) return status;
      parts.remove_prefix(end + 1);
    }
    pending.erase(0, pending.size() - parts.size());
    const absl::Status status = publisher.Flush();
    if (!status.ok()) return status;
  }
  return pending.empty() ? absl::OkStatus() : publish(pending);
}

absl::Status PublishRepeatedly(Client& client, const PubOptions& options,
                               Publisher& publisher) {
  const Batch batch(client);
  for (uint64_t i = 0; options.repeat == 0 || i < options.repeat; ++i) {
    const absl::Status status = publisher.Publish(*options.message);
    if (!status.ok()) return status;
  }
  return publisher.Flush();
}

absl::Status PublishAll(Publisher& publisher) {
  const auto all = ReadAllInput();
  return all.ok() ? publisher.Publish(*all) : all.status();
}

absl::Status AwaitSubscribers(Client& client, const PubOptions& options) {
  const absl::Time deadline = absl::Now() + options.timeout;
  while (true) {
    const absl::Duration rest = deadline - absl::Now();
    const auto subscribers = client.CountSubscribers(options.topic, rest);
    if (!subscribers.ok() && !absl::IsUnavailable(subscribers.status())) {
      return subscribers.status();
    }
    if (subscribers.ok() && *subscribers >= options.wait_subscribers) {
      return absl::OkStatus();
    }
    if (absl::Now() >= deadline) {
      return absl::DeadlineExceededError(
          fmt::format("\"{}\" has {} subscribers and not {}", options.topic,
                      subscribers.value_or(0), options.wait_subscribers));
    }
    absl::SleepFor(std::min(kAskInterval, rest));
  }
}

// Fails if the broker has refused a message: its Error comes after the messages
// were written.
absl::Status AwaitRefusal(Client& client) {
  const absl::Status status =
      client.Flush(Level::kAccepted, kRefusalPatience).status();
  const bool refused = absl::IsPermissionDenied(status) ||
                       absl::IsFailedPrecondition(status) ||
                       absl::IsResourceExhausted(status);
  return refused ? status : absl::OkStatus();
}

Exit Pub(const PubOptions& options) {
  auto client = ConnectClient(options.bus, "fifobus pub", options.will.will());
  if (!client.ok()) return Fail(client.status());
  Publisher publisher(**client, options);
  JsonLines json(publisher);
  absl::Status status;
  if (options.wait_subscribers > 0) {
    status = AwaitSubscribers(**client, options);
  }
  if (!status.ok()) return Fail(status);
  if (options.message) {
    status = PublishRepeatedly(**client, options, publisher);
  } else if (options.raw) {
    status = PublishAll(publisher);
  } else if (options.json) {
    status = PublishParts(**client, publisher, '\n',
                          [&](auto line) { return json.Publish(line); });
  } else {
    status =
        PublishParts(**client, publisher, options.null ? '\0' : '\n',
                     [&](auto payload) { return publisher.Publish(payload); });
  }
  if (publisher.output() != Output::Outcome::kWritten) {
    return ExitOf(publisher.output(), kDone);
  }
  if (status.ok() && !options.confirm) status = AwaitRefusal(**client);
  if (!status.ok()) return Fail(status);
  return json.bad() == 0 ? kDone : kFailed;
}

// What Needs and Excludes cannot say.
absl::Status RequireTopic(PubOptions& options) {
  if (options.json && options.topic == "-") options.topic.clear();
  const bool lines_name_it = options.json && options.wait_subscribers == 0;
  return options.topic.empty() && !lines_name_it
             ? absl::InvalidArgumentError("TOPIC is required")
             : absl::OkStatus();
}

void AddInput(Command& pub, PubOptions& options) {
  pub.AddText("TOPIC", options.topic,
              "such as sensors/kitchen/temp; with --json - or nothing: each "
              "line names its own");
  const Option message =
      pub.AddText("MESSAGE", options.message,
                  "the payload; without it each line of standard input is one "
                  "message");
  const Option raw =
      pub.AddFlag("--raw", options.raw, "all of standard input is one message")
          .Excludes({message});
  const Option null =
      pub.AddFlag("--null", options.null,
                  "messages on standard input end with a NUL, not a newline; "
                  "-0 does the same")
          .Excludes({message, raw});
  pub.AddFlag("--json", options.json,
              "each line of standard input is a message with its metadata, "
              "as sub --json prints it. If TOPIC is given, all go there. A "
              "bad line is reported and passed over, and the exit code is 1")
      .Excludes({message, raw, null});
  pub.AddCount("--repeat N", options.repeat, kAnyCount,
               "publish MESSAGE N times; 0: until the command is ended "
               "[1]")
      .Needs(message);
  pub.AddRate("--rate", options.rate,
              "publish N messages a second [as fast as possible]");
}

}  // namespace

void AddPub(Command& program) {
  Command& pub = program.Add("pub", "publish messages");
  auto options = std::make_shared<PubOptions>();
  options->bus.AddTo(pub);
  AddInput(pub, *options);
  pub.AddFlag("--retain", options->retain,
              "the broker keeps the message as the topic's value, for "
              "later subscribers; an empty message clears the value");
  options->about.AddTo(pub);
  pub.AddFlag("--confirm", options->confirm,
              "when the broker has taken a message, print \"accepted "
              "SESSIONS TAPS\": the numbers of those that get it");
  pub.AddCount("--wait-subscribers N", options->wait_subscribers, kAnyCount,
               "wait until the topic has N subscribers, then publish");
  pub.AddDuration("--timeout", options->timeout,
                  "how long to wait for subscribers, and for each "
                  "confirmation; then exit code 3");
  options->will.AddTo(pub);
  pub.Explain(
      "A pipe from sub --json to pub --json keeps payloads, "
      "headers, content types, reply topics and expiries. "
      "Sequence and time are new. With --rate, one late "
      "message does not delay the next ones. After more "
      "than a second without input, or of waiting for subscribers, the rate "
      "begins anew.\n\n"
      "Examples:\n"
      "  fifobus pub sensors/kitchen/temp 21.5 --header unit=celsius\n"
      "  fifobus pub lights/kitchen on --retain --confirm\n"
      "  fifobus pub beat tick --repeat 0 --rate 2\n"
      "  find . -print0 | fifobus pub files -0\n"
      "  fifobus sub 'sensors/**' --json | fifobus pub --json copies");
  pub.OnCheck([options] { return RequireTopic(*options); });
  pub.OnRun([options] { return Pub(*options); });
}

}  // namespace fifobus::cli
