#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "clients/cli/command.h"
#include "fmt/format.h"
#include "proto/message_text.h"

namespace fifobus::cli {
namespace {

struct SubOptions {
  BusOptions bus;
  ModeOptions mode;
  std::vector<std::string> patterns;
  uint64_t count = 0;  // 0: no end
  absl::Duration timeout = absl::InfiniteDuration();
  bool json = false;
  bool show_topic = false;
  bool raw = false;
};

// Standard output, written whenever no message is waiting, so that nobody waits
// for a line and a stream of small messages costs few system calls.
class Output {
 public:
  enum class Outcome { kWritten, kReaderGone, kFailed };

  std::string& text() { return text_; }

  Outcome Flush() {
    size_t written = 0;
    while (written < text_.size()) {
      const ssize_t bytes =
          write(STDOUT_FILENO, text_.data() + written, text_.size() - written);
      if (bytes < 0 && errno == EINTR) continue;
      if (bytes < 0) {
        return errno == EPIPE ? Outcome::kReaderGone : Outcome::kFailed;
      }
      written += static_cast<size_t>(bytes);
    }
    text_.clear();
    return Outcome::kWritten;
  }

 private:
  std::string text_;
};

constexpr size_t kOutputBytes = size_t{64} << 10;

void Append(const MessageView& message, const SubOptions& options,
            std::string& out) {
  if (options.json) {
    AppendJsonLine(message, DeliveryView(), out);
    return;
  }
  if (options.show_topic) {
    out += message.topic;
    out += ' ';
  }
  if (options.raw) {
    out += message.payload;
  } else {
    AppendPlainText(message, out);
  }
}

void ReportGap(const Gap& gap) {
  if (gap.reconnected) {
    fmt::print(stderr,
               "fifobus: the broker is gone; what is published until it is "
               "back, an unknown number of messages, is missing here\n");
    return;
  }
  std::string topics;
  for (const Gap::Loss& loss : gap.losses) {
    topics += fmt::format(" {}={}", loss.topic, loss.messages);
  }
  fmt::print(stderr,
             "fifobus: {} messages are lost here, this subscriber was too "
             "slow:{}\n",
             gap.messages, topics);
}

// Takes what is there without waiting; only if there is nothing, writes what is
// gathered and waits as the mode says.
Received Next(Client& client, const SubOptions& options, Output& output,
              absl::Time deadline, Output::Outcome& written) {
  client.set_mode(Mode::kNonBlocking);
  Received got = client.Receive();
  if (got.outcome != ReceiveOutcome::kWouldBlock) return got;
  written = output.Flush();
  if (written != Output::Outcome::kWritten) return got;
  client.set_mode(options.mode.mode());
  if (options.mode.non_blocking) WaitReadable(client, deadline);
  got = client.Receive(deadline);
  if (got.outcome == ReceiveOutcome::kWouldBlock && absl::Now() >= deadline) {
    got.outcome = ReceiveOutcome::kTimedOut;
  }
  return got;
}

Exit ExitOf(Output::Outcome outcome, Exit otherwise) {
  switch (outcome) {
    case Output::Outcome::kWritten:
      return otherwise;
    case Output::Outcome::kReaderGone:
      return kDone;
    case Output::Outcome::kFailed:
      break;
  }
  return Fail(absl::ErrnoToStatus(errno, "standard output"));
}

Exit Print(Client& client, const SubOptions& options) {
  const absl::Time deadline = absl::Now() + options.timeout;
  Output output;
  uint64_t received = 0;
  while (options.count == 0 || received < options.count) {
    Output::Outcome written = Output::Outcome::kWritten;
    const Received got = Next(client, options, output, deadline, written);
    if (written != Output::Outcome::kWritten) return ExitOf(written, kDone);
    switch (got.outcome) {
      case ReceiveOutcome::kMessage:
        Append(got.message, options, output.text());
        ++received;
        break;
      case ReceiveOutcome::kGap:
        ReportGap(got.gap);
        break;
      case ReceiveOutcome::kWouldBlock:
        break;
      case ReceiveOutcome::kTimedOut:
        return kTimedOut;
      case ReceiveOutcome::kDisconnected:
        return Fail(client.status());
    }
    if (output.text().size() < kOutputBytes) continue;
    written = output.Flush();
    if (written != Output::Outcome::kWritten) return ExitOf(written, kDone);
  }
  return ExitOf(output.Flush(), kDone);
}

Exit Sub(const SubOptions& options) {
  auto client = ConnectClient(options.bus, "fifobus sub");
  if (!client.ok()) return Fail(client.status());
  for (const std::string& pattern : options.patterns) {
    const absl::Status status = (*client)->Subscribe(pattern);
    if (!status.ok()) return Fail(status);
  }
  return Print(**client, options);
}

}  // namespace

void AddSub(CLI::App& app, Exit& exit) {
  CLI::App& sub = *app.add_subcommand(
      "sub", "print messages, one payload a line, until it is ended");
  auto options = std::make_shared<SubOptions>();
  options->bus.AddTo(sub);
  options->mode.AddTo(sub);
  sub.add_option("PATTERN", options->patterns,
                 "a topic; a level may be * (any one), the last one ** (any)")
      ->required();
  sub.add_option("-n,--count", options->count, "end after so many messages")
      ->check(CLI::PositiveNumber)
      ->type_name("COUNT");
  AddDuration(sub, "--timeout", options->timeout,
              "end after this time, with exit code 3");
  CLI::Option* json = sub.add_flag("--json", options->json,
                                   "one JSON object a line, with all metadata");
  sub.add_flag("--show-topic", options->show_topic,
               "the topic and a space before each payload")
      ->excludes(json);
  sub.add_flag("--raw", options->raw, "no newline after the payloads")
      ->excludes(json);
  sub.callback([options, &exit] { exit = Sub(*options); });
}

}  // namespace fifobus::cli
