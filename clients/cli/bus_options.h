#ifndef FIFOBUS_CLIENTS_CLI_BUS_OPTIONS_H_
#define FIFOBUS_CLIENTS_CLI_BUS_OPTIONS_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "clients/cli/command.h"
#include "clients/cpp/client.h"

// How commands reach a bus.
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

// The directory of a bus with a broker, waiting for one as the options say.
absl::StatusOr<std::string> AwaitBus(const BusOptions& options);

// Connects, waiting for a broker as the options say. `name` is shown by `ls`.
// DeadlineExceeded: there was none within `timeout`, which is the command's own
// and shorter than the options' one.
absl::StatusOr<std::unique_ptr<Client>> ConnectClient(
    const BusOptions& options, const std::string& name,
    ClientOptions client_options = {},
    absl::Duration timeout = absl::InfiniteDuration());

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_BUS_OPTIONS_H_
