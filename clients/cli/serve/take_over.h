#ifndef FIFOBUS_CLIENTS_CLI_SERVE_TAKE_OVER_H_
#define FIFOBUS_CLIENTS_CLI_SERVE_TAKE_OVER_H_

#include <memory>
#include <optional>

#include "absl/status/statusor.h"
#include "broker/broker.h"
#include "broker/upgrade/successor.h"
#include "clients/cli/exit.h"

// `serve` and upgrades in place: the side that hands over, and the one that
// takes over.
namespace fifobus::cli {

// What this process is to do with a state, if anything. The first call is to
// come before any thread is started.
const std::optional<StateTask>& StateTaskOfThisProcess();

// Does what was asked for by `fifobus upgrade` or the signal alone. Returns only
// if this program goes on, and has logged why.
void UpgradeInPlace(Broker& broker);

// Says whether this program can take over the state with these options. It then
// leaves the state as it is.
Exit CheckTakeOver(const BrokerOptions& options, int state_fd);
// Goes on with it. If that fails, this process starts anew, as after a kill.
std::unique_ptr<Broker> TakeOver(const BrokerOptions& options, int state_fd);

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_SERVE_TAKE_OVER_H_
