#include "clients/cli/command.h"

#include <poll.h>

#include <cstdio>
#include <string_view>
#include <utility>

#include "clients/cli/poll_until.h"
#include "fmt/format.h"

namespace fifobus::cli {
namespace {

// A bare number counts seconds.
bool ParseDuration(const std::string& text, absl::Duration& duration) {
  return absl::ParseDuration(text, &duration) ||
         absl::ParseDuration(text + "s", &duration);
}

}  // namespace

Exit Fail(const absl::Status& status) {
  const absl::string_view message = status.message();
  fmt::print(stderr, "fifobus: {}\n",
             std::string_view(message.data(), message.size()));
  return absl::IsDeadlineExceeded(status) ? kTimedOut : kFailed;
}

CLI::Option* AddDuration(CLI::App& app, const std::string& name,
                         absl::Duration& duration, const std::string& text,
                         absl::Duration least) {
  return app
      .add_option_function<std::string>(
          name,
          [&duration, least](const std::string& value) {
            absl::Duration parsed;
            if (!ParseDuration(value, parsed) ||
                parsed < absl::ZeroDuration()) {
              throw CLI::ValidationError(fmt::format(
                  "\"{}\" is not a duration; examples: 500ms 2s 1.5m", value));
            }
            if (parsed < least) {
              throw CLI::ValidationError(
                  fmt::format("\"{}\" is too short; it is at least {}", value,
                              absl::FormatDuration(least)));
            }
            duration = parsed;
          },
          text)
      ->type_name("DURATION");
}

CLI::Option* AddInterval(CLI::App& app, absl::Duration& interval,
                         const std::string& text) {
  return AddDuration(app, "--interval", interval, text, absl::Milliseconds(1));
}

void BusOptions::AddTo(CLI::App& app) {
  app.add_option("--dir", dir,
                 "the bus directory [$FIFOBUS_DIR, or where a broker runs]")
      ->type_name("DIR");
  AddDuration(app, "--connect-timeout", connect_timeout,
              "how long to wait for a broker [5s]");
}

void ModeOptions::AddTo(CLI::App& app) {
  CLI::Option* non = app.add_flag("--non-blocking", non_blocking,
                                  "use non-blocking calls and poll");
  app.add_flag("--busy-poll", busy_poll,
               "spin instead of sleeping: lowest latency, one core busy")
      ->excludes(non);
}

Mode ModeOptions::mode() const {
  if (busy_poll) return Mode::kBusyPoll;
  return non_blocking ? Mode::kNonBlocking : Mode::kBlocking;
}

absl::StatusOr<std::unique_ptr<Client>> ConnectClient(
    const BusOptions& options, const std::string& name,
    std::optional<OwnedMessage> will) {
  ClientOptions client_options;
  client_options.will = std::move(will);
  return ConnectClient(options, name, std::move(client_options));
}

absl::StatusOr<std::unique_ptr<Client>> ConnectClient(
    const BusOptions& options, const std::string& name,
    ClientOptions client_options) {
  client_options.dir = options.dir;
  client_options.client_name = name;
  client_options.connect_timeout = options.connect_timeout;
  return Client::Connect(std::move(client_options));
}

void WaitReadable(const Client& client, absl::Time deadline) {
  pollfd readable = {client.fd(), POLLIN, 0};
  PollUntil({&readable, 1}, deadline);
}

}  // namespace fifobus::cli
