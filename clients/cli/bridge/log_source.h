#ifndef FIFOBUS_CLIENTS_CLI_BRIDGE_LOG_SOURCE_H_
#define FIFOBUS_CLIENTS_CLI_BRIDGE_LOG_SOURCE_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "clients/cpp/client.h"

namespace fifobus::bridge {

// A client that reads `pattern` out of its log as the durable reader `durable`,
// from where that stands; a new one from the log's beginning. Not blocking.
absl::StatusOr<std::unique_ptr<Client>> OpenLogSource(
    const ClientOptions& options, const std::string& pattern,
    const std::string& durable);

// Lets the durable reader stand at `offset`. Nobody may read with it meanwhile.
absl::Status MoveLogSource(const ClientOptions& options,
                           const std::string& durable, uint64_t offset);

}  // namespace fifobus::bridge

#endif  // FIFOBUS_CLIENTS_CLI_BRIDGE_LOG_SOURCE_H_
