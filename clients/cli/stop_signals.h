#ifndef FIFOBUS_CLIENTS_CLI_STOP_SIGNALS_H_
#define FIFOBUS_CLIENTS_CLI_STOP_SIGNALS_H_

#include "absl/status/statusor.h"
#include "broker/base/unique_fd.h"

// SIGTERM, SIGINT and SIGHUP for those who have children to end before they
// end themselves.
namespace fifobus::cli {

// From now on they come as a descriptor, see signalfd(2), not blocking. Those
// that are ignored, as SIGINT in a script's background, stay so.
absl::StatusOr<UniqueFd> TakeStopSignals();

// The signal that has come; 0: none.
int TakenSignal(const UniqueFd& signals);

// Ends this process by the signal, as if it had not been taken, so that a shell
// sees that, say, a loop is to end as well. Does not return.
[[noreturn]] void EndBySignal(int number);

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_STOP_SIGNALS_H_
