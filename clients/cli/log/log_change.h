#ifndef FIFOBUS_CLIENTS_CLI_LOG_LOG_CHANGE_H_
#define FIFOBUS_CLIENTS_CLI_LOG_LOG_CHANGE_H_

#include <string>

#include "absl/status/statusor.h"
#include "clients/cli/bus_options.h"
#include "proto/frame.pb.h"

namespace fifobus::cli {

// Has a log changed, and returns what it is then: by the broker of the bus if
// one runs that serves it, and else on disk, with the log's lock. `state_dir` is
// not empty: on disk in any case. Single-threaded.
absl::StatusOr<pb::StatsReply::Log> ChangeLog(const BusOptions& bus,
                                              const std::string& state_dir,
                                              const pb::LogRequest& request);

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_LOG_LOG_CHANGE_H_
