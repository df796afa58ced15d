#ifndef FIFOBUS_CLIENTS_CPP_BUS_LOCATOR_H_
#define FIFOBUS_CLIENTS_CPP_BUS_LOCATOR_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

// Where buses are. Thread-safe as long as nobody changes the environment.
namespace fifobus {

// Where a client looks, in order: `dir` alone if it is not empty, else
// $FIFOBUS_DIR alone if that is set, else /run/fifobus,
// $XDG_RUNTIME_DIR/fifobus and /dev/shm/fifobus-UID.
std::vector<std::string> BusCandidates(const std::string& dir);

// Where a broker runs if it is told nothing else: the first of `dir`,
// $FIFOBUS_DIR, /run/fifobus for root, $XDG_RUNTIME_DIR/fifobus,
// /dev/shm/fifobus-UID that applies.
std::string BrokerDirectory(const std::string& dir);

// OK if a broker serves `dir` now. Unavailable if none does; PermissionDenied
// if the directory is a symbolic link or belongs neither to this user nor to
// root, so that what one writes there might be read by a stranger.
absl::Status CheckBus(const std::string& dir);

// The first candidate with a live broker. Otherwise the error names every place
// that was tried and what is wrong there.
absl::StatusOr<std::string> FindBus(const std::string& dir);

}  // namespace fifobus

#endif  // FIFOBUS_CLIENTS_CPP_BUS_LOCATOR_H_
