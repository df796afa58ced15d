#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/clock.h"
#include "clients/cli/command.h"
#include "clients/cli/message_options.h"
#include "clients/cli/output.h"
#include "fmt/format.h"

namespace fifobus::cli {
namespace {

// How often --wait-subscribers asks the broker. Not tuned.
constexpr absl::Duration kAskInterval = absl::Milliseconds(20);

// How long the end waits for the broker to have read everything. What it has
// not, because subscribers are slow, it reads when this process is gone.
constexpr absl::Duration kRefusalPatience = absl::Seconds(1);

struct PubOptions {
  BusOptions bus;
  MessageOptions about;
  WillOptions will;
  std::string topic;
  std::optional<std::string> message;
  bool raw = false;
  bool retain = false;
  bool confirm = false;
  uint32_t wait_subscribers = 0;
  absl::Duration timeout = absl::InfiniteDuration();
};

// Publishes one after the other, numbered and stamped.
class Publisher {
 public:
  Publisher(Client& client, const PubOptions& options)
      : client_(client), options_(options) {}

  absl::Status Publish(std::string_view payload) {
    MessageFields message;
    options_.about.Fill(message, headers_);
    message.topic = options_.topic;
    message.payload = payload;
    message.sequence = ++sequence_;
    message.retain = options_.retain;
    return options_.confirm ? PublishConfirmed(message)
                            : Report(client_.Publish(message));
  }

  // What a batch has gathered goes out now.
  absl::Status Flush() { return Report(client_.Flush()); }

  // Whether the one who read the confirmations is gone.
  Output::Outcome output() const { return written_; }

 private:
  absl::Status PublishConfirmed(const MessageFields& message) {
    const auto confirmation =
        client_.PublishConfirmed(message, options_.timeout);
    if (!confirmation.ok()) return confirmation.status();
    confirmations_.text() += fmt::format(
        "accepted {} {}\n", confirmation->sessions, confirmation->taps);
    written_ = confirmations_.Flush();
    return written_ == Output::Outcome::kWritten
               ? absl::OkStatus()
               : absl::CancelledError("standard output");
  }

  absl::Status Report(PublishOutcome outcome) const {
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

  Client& client_;
  const PubOptions& options_;
  std::vector<HeaderView> headers_;
  Output confirmations_;
  Output::Outcome written_ = Output::Outcome::kWritten;
  uint64_t sequence_ = 0;
};

// What is there is published as one batch, so that neither a slow writer waits
// for its lines to go out nor a fast one pays a system call for each.
absl::Status PublishLines(Client& client, Publisher& publisher) {
  std::string pending;
  std::array<char, 65536> buffer;
  while (true) {
    const auto bytes = ReadInput(buffer.data(), buffer.size());
    if (!bytes.ok()) return bytes.status();
    if (*bytes == 0) break;
    pending.append(buffer.data(), *bytes);
    std::string_view lines = pending;
    const Batch batch(client);
    for (size_t end; (end = lines.find('\n')) != std::string_view::npos;) {
      const absl::Status status = publisher.Publish(lines.substr(0, end));
      if (!status.ok()) return status;
      lines.remove_prefix(end + 1);
    }
    pending.erase(0, pending.size() - lines.size());
    const absl::Status status = publisher.Flush();
    if (!status.ok()) return status;
  }
  return pending.empty() ? absl::OkStatus() : publisher.Publish(pending);
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

// Whether the broker has refused something: its Error comes behind what was
// written.
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
  absl::Status status;
  if (options.wait_subscribers > 0) {
    status = AwaitSubscribers(**client, options);
  }
  if (!status.ok()) return Fail(status);
  if (options.message) {
    status = publisher.Publish(*options.message);
  } else if (options.raw) {
    status = PublishAll(publisher);
  } else {
    status = PublishLines(**client, publisher);
  }
  if (publisher.output() != Output::Outcome::kWritten) {
    return ExitOf(publisher.output(), kDone);
  }
  if (status.ok() && !options.confirm) status = AwaitRefusal(**client);
  return status.ok() ? kDone : Fail(status);
}

}  // namespace

void AddPub(CLI::App& app, Exit& exit) {
  CLI::App& pub = *app.add_subcommand("pub", "publish messages");
  auto options = std::make_shared<PubOptions>();
  options->bus.AddTo(pub);
  pub.add_option("TOPIC", options->topic, "such as sensors/kitchen/temp")
      ->required();
  CLI::Option* message =
      pub.add_option("MESSAGE", options->message,
                     "the payload; without it each line of standard input is "
                     "one message");
  pub.add_flag("--raw", options->raw, "all of standard input is one message")
      ->excludes(message);
  pub.add_flag("--retain", options->retain,
               "kept as the topic's value for later subscribers; an empty "
               "message clears it");
  options->about.AddTo(pub);
  pub.add_flag("--confirm", options->confirm,
               "print \"accepted SESSIONS TAPS\" for each message when the "
               "broker has taken it for so many");
  pub.add_option("--wait-subscribers", options->wait_subscribers,
                 "publish when the topic has so many")
      ->type_name("N");
  AddDuration(pub, "--timeout", options->timeout,
              "how long to wait for subscribers, and for each confirmation; "
              "then exit code 3");
  options->will.AddTo(pub);
  pub.callback([options, &exit] { exit = Pub(*options); });
}

}  // namespace fifobus::cli
