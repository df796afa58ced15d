#ifndef FIFOBUS_CLIENTS_CLI_INHERITED_SIGNALS_H_
#define FIFOBUS_CLIENTS_CLI_INHERITED_SIGNALS_H_

// The signals as this process got them, which its own commands get in turn.
namespace fifobus::cli {

// Remembers the blocked signals and what SIGPIPE does, and ignores SIGPIPE: a
// reader that goes away then shows as EPIPE. To be called once, at the start.
void RememberSignals();

// Sets what was remembered. Async-signal-safe: for the child of a fork.
void RestoreSignals();

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_INHERITED_SIGNALS_H_
