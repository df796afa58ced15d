#include "clients/cli/bus_options.h"

#include <poll.h>

#include <utility>

#include "clients/cli/poll_until.h"

namespace fifobus::cli {

void BusOptions::AddTo(Command& command) {
  command.AddText("--dir DIR", dir,
                  "the bus directory [$FIFOBUS_DIR, or where a broker runs]");
  command.AddDuration("--connect-timeout", connect_timeout,
                      "how long to wait for a broker [5s]");
}

void ModeOptions::AddTo(Command& command) {
  const Option non = command.AddFlag("--non-blocking", non_blocking,
                                     "use non-blocking calls and poll");
  command
      .AddFlag("--busy-poll", busy_poll,
               "spin instead of sleeping: lowest latency, one core busy")
      .Excludes({non});
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
