#ifndef FIFOBUS_CLIENTS_CLI_STOP_SIGNALS_H_
#define FIFOBUS_CLIENTS_CLI_STOP_SIGNALS_H_

#include <initializer_list>

#include "absl/status/statusor.h"
#include "broker/base/unique_fd.h"

// SIGTERM, SIGINT and SIGHUP, for commands that have something to end before
// they end themselves.
//
// A signal that was ignored when the process started stays ignored: SIGHUP
// under nohup(1), SIGINT in the background of a script. It was meant for
// others.
namespace fifobus::cli {

// From now on the signals, and `more`, come by the descriptor and do nothing
// else: signalfd(2). It does not block. REQUIRES: there is one thread; those
// that it starts have the signals blocked as well.
absl::StatusOr<UniqueFd> TakeStopSignals(std::initializer_list<int> more = {});

// The signal that has come; 0: none.
int TakenSignal(const UniqueFd& signals);
// Waits for one.
int AwaitSignal(const UniqueFd& signals);

// From now on the signals end the process at once.
void ReleaseStopSignals();

// Ends this process by the signal, as if it had not been taken, so that a shell
// sees that, say, a loop is to end as well. Does not return.
[[noreturn]] void EndBySignal(int number);

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_STOP_SIGNALS_H_
