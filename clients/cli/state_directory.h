#ifndef FIFOBUS_CLIENTS_CLI_STATE_DIRECTORY_H_
#define FIFOBUS_CLIENTS_CLI_STATE_DIRECTORY_H_

#include <string>

#include "absl/status/statusor.h"

namespace fifobus::cli {

// Where a broker keeps its logs: `dir` if it is not empty, else
// $FIFOBUS_STATE_DIR, else /var/lib/fifobus for root, else $XDG_STATE_HOME/fifobus, else
// ~/.local/state/fifobus. Fails if the environment names no place. Thread-safe
// as long as nobody changes the environment.
absl::StatusOr<std::string> StateDirectory(const std::string& dir);

// Whether this user's broker can keep logs there; makes nothing. The error says
// in one line what is wrong and what to do.
absl::Status CheckStateDirectory(const std::string& dir);

// The directory, or the nearest one above it that exists, is in memory: what is
// stored there does not survive the machine.
bool IsInMemory(const std::string& dir);

// What the help says of the default.
inline constexpr char kStateDirectoryHelp[] =
    "[$FIFOBUS_STATE_DIR, /var/lib/fifobus for root, $XDG_STATE_HOME/fifobus, "
    "~/.local/state/fifobus]";

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_STATE_DIRECTORY_H_
