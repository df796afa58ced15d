#include "clients/cli/bus_options.h"

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
#include "clients/cpp/bus_locator.h"
#include "clients/cpp/deadline.h"

namespace fifobus::cli {
namespace {

// Between two looks for a broker.
constexpr absl::Duration kLookInterval = absl::Milliseconds(20);

}  // namespace

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

absl::StatusOr<std::string> AwaitBus(const BusOptions& options) {
  const Deadline deadline = options.connect_timeout;
  while (true) {
    auto bus = FindBus(options.dir);
    if (bus.ok() || deadline.HasCome()) return bus;
    absl::SleepFor(kLookInterval);
  }
}

absl::StatusOr<std::unique_ptr<Client>> ConnectClient(
    const BusOptions& options, const std::string& name,
    ClientOptions client_options, absl::Duration timeout) {
  client_options.dir = options.dir;
  client_options.client_name = name;
  client_options.connect_timeout = std::min(options.connect_timeout, timeout);
  const Deadline deadline = client_options.connect_timeout;
  auto client = Client::Connect(std::move(client_options));
  if (client.ok() || timeout >= options.connect_timeout ||
      !deadline.HasCome()) {
    return client;
  }
  return absl::DeadlineExceededError(client.status().message());
}

}  // namespace fifobus::cli
