#include <unistd.h>

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "clients/cli/await_subscribers.h"
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

// What may be kept until it is confirmed. Not tuned.
constexpr size_t kResendBytesMax = size_t{16} << 20;

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
    Warn(fmt::format("line {}: {}", number_, std::string(status.message())));
    return absl::OkStatus();
  }

  uint64_t bad() const { return bad_; }

 private:
  Publisher& publisher_;
  uint64_t number_ = 0;
  uint64_t bad_ = 0;
};

// The next bytes of standard input; none: its end. The session is attended to
// meanwhile.
absl::StatusOr<size_t> AwaitInput(Publisher& publisher,
                                  std::array<char, 65536>& buffer) {
  const absl::Status status = publisher.Await(STDIN_FILENO, Deadline::Never());
  if (!status.ok()) return status;
  return ReadInput(buffer.data(), buffer.size());
}

// Each part of the input that ends with `separator`; the last one needs none.
// What is there is published as one batch, so that neither a slow writer waits
// for its lines to go out nor a fast one pays a system call for each.
template <typename Publish>
absl::Status PublishParts(Client& client, Publisher& publisher, char separator,
                          Publish publish) {
  std::string pending;
  std::array<char, 65536> buffer;
  while (true) {
    const auto bytes = AwaitInput(publisher, buffer);
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
  std::string all;
  std::array<char, 65536> buffer;
  while (true) {
    const auto bytes = AwaitInput(publisher, buffer);
    if (!bytes.ok()) return bytes.status();
    if (*bytes == 0) return publisher.Publish(all);
    all.append(buffer.data(), *bytes);
  }
}

// Whatever the options say is to be published.
absl::Status PublishWhatIsGiven(Client& client, const PubOptions& options,
                                Publisher& publisher, JsonLines& json) {
  if (options.message) return PublishRepeatedly(client, options, publisher);
  if (options.raw) return PublishAll(publisher);
  if (options.json) {
    return PublishParts(client, publisher, '\n',
                        [&](auto line) { return json.Publish(line); });
  }
  return PublishParts(client, publisher, options.null ? '\0' : '\n',
                      [&](auto payload) { return publisher.Publish(payload); });
}

Exit Pub(const PubOptions& options) {
  const Deadline deadline = options.timeout;
  ClientOptions client_options;
  client_options.will = options.will.will();
  client_options.publisher = options.publisher;
  if (!options.publisher.empty() && options.confirm > Level::kAccepted) {
    client_options.resend_bytes_max = kResendBytesMax;
  }
  auto client = ConnectClient(options.bus, "fifobus pub",
                              std::move(client_options), options.timeout);
  if (!client.ok()) return Fail(client.status());
  Publisher publisher(**client, options);
  JsonLines json(publisher);
  absl::Status status;
  if (options.wait_subscribers > 0) {
    status = AwaitSubscribers(**client, options.topic, options.wait_subscribers,
                              deadline);
  }
  if (status.ok()) {
    status = PublishWhatIsGiven(**client, options, publisher, json);
  }
  if (publisher.output() != Output::Outcome::kWritten) {
    return ExitOf(publisher.output(), kDone);
  }
  if (status.ok()) status = publisher.Finish();
  if (publisher.output() != Output::Outcome::kWritten) {
    return ExitOf(publisher.output(), kDone);
  }
  if (!status.ok()) return Fail(status);
  if (options.null_by_digit && publisher.published() == 0) {
    Warn(
        "standard input was empty, so nothing was published; to publish the "
        "MESSAGE -0 write: fifobus pub TOPIC -- -0");
    return kUsage;
  }
  return json.bad() == 0 && !publisher.lost() ? kDone : kFailed;
}

// Replaces -0 by --null. If CLI11 knew an option -0, it would read the payload
// -0.5 as that option and ".5".
void SpellOutNull(std::span<char*> words, PubOptions& options) {
  static char null[] = "--null";
  for (char*& word : words) {
    if (word == std::string_view("--")) return;
    if (word != std::string_view("-0")) continue;
    word = null;
    options.null_by_digit = true;
  }
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
                  "the payload, behind -- if it begins with -; without it each "
                  "line of standard input is one message");
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

void AddConfirm(Command& pub, PubOptions& options) {
  const Option confirm = pub.AddFlagChoice<Level>(
      "--confirm", options.confirm,
      {{"accepted", Level::kAccepted},
       {"written", Level::kWritten},
       {"stored", Level::kStored}},
      "when the broker has taken a message, print \"accepted SESSIONS TAPS\": "
      "the numbers of those that get it. --confirm=written and "
      "--confirm=stored: when it is in the file of its log, and on disk; then "
      "print \"stored OFFSET SESSIONS TAPS\", or \"duplicate OFFSET\"");
  const Option publisher =
      pub.AddText("--publisher NAME", options.publisher,
                  "the name under which logs know what is stored; with "
                  "--confirm=stored, messages of a lost session are sent "
                  "again, and each is stored once");
  pub.AddFlag("--resume", options.resume,
              "number the messages from 1, so that those which an earlier run "
              "with the same name and input has stored are not stored again")
      .Needs(publisher)
      .Needs(confirm);
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
  AddConfirm(pub, *options);
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
      "begins anew. With --confirm many messages are on their way at once; the "
      "first one that is not confirmed ends the command.\n\n"
      "Examples:\n"
      "  fifobus pub sensors/kitchen/temp 21.5 --header unit=celsius\n"
      "  fifobus pub lights/kitchen on --retain --confirm\n"
      "  fifobus pub beat tick --repeat 0 --rate 2\n"
      "  find . -print0 | fifobus pub files -0\n"
      "  fifobus pub orders/1 tea --confirm=stored\n"
      "  fifobus pub orders/2 --confirm=stored --publisher till --resume < "
      "day\n"
      "  fifobus sub 'sensors/**' --json | fifobus pub --json copies");
  pub.OnWords(
      [options](std::span<char*> words) { SpellOutNull(words, *options); });
  pub.OnCheck([options] { return RequireTopic(*options); });
  pub.OnRun([options] { return Pub(*options); });
}

}  // namespace fifobus::cli
