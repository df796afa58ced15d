#ifndef FIFOBUS_CLIENTS_CLI_LOG_LOG_PLACE_H_
#define FIFOBUS_CLIENTS_CLI_LOG_LOG_PLACE_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "broker/core/logs/log_files.h"
#include "proto/frame.pb.h"

namespace fifobus::cli {

// The offset that a place of a log means: one of its messages, or the next one.
// An offset that was removed means the first that was not. OutOfRange: the
// offset is behind the end. Thread-safe (no state).
absl::StatusOr<uint64_t> FindPlace(const LogFiles& files,
                                   const pb::Start& place);

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_LOG_LOG_PLACE_H_
