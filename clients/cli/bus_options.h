#ifndef FIFOBUS_CLIENTS_CLI_BUS_OPTIONS_H_
#define FIFOBUS_CLIENTS_CLI_BUS_OPTIONS_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "clients/cli/command.h"
#include "clients/cpp/client.h"

// How commands reach a bus, and how they wait for it.
namespace fifobus::cli {

// The options of every command that talks to a broker. Lives as long as the
// command.
struct BusOptions {
  std::string dir;
  absl::Duration connect_timeout = absl::Seconds(5);

  void AddTo(Command& command);
};

// --non-blocking and --busy-poll.
struct ModeOptions {
  bool non_blocking = false;
  bool busy_poll = false;

  void AddTo(Command& command);
  Mode mode() const;
};

// Connects, waiting for a broker as the options say. `name` is shown by `ls`.
absl::StatusOr<std::unique_ptr<Client>> ConnectClient(
    const BusOptions& options, const std::string& name,
    ClientOptions client_options = {});
absl::StatusOr<std::unique_ptr<Client>> ConnectClient(
    const BusOptions& options, const std::string& name,
    std::optional<OwnedMessage> will);

// Waits until the client's fd() is readable or the deadline has come: what a
// program with its own event loop does in mode kNonBlocking.
void WaitReadable(const Client& client, absl::Time deadline);

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_BUS_OPTIONS_H_
