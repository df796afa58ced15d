#ifndef FIFOBUS_CLIENTS_CLI_BRIDGE_DRY_RUN_H_
#define FIFOBUS_CLIENTS_CLI_BRIDGE_DRY_RUN_H_

#include <string>

#include "clients/cli/bridge/bridge_config.h"
#include "clients/cpp/client_options.h"

namespace fifobus::bridge {

// What a bridge would do with what is there now: topics of the bus with their
// subjects, and subjects of the streams with their topics. It only asks, and
// waits at most some seconds for the broker and the NATS server; for one that is
// not there, a line says so. Thread-safe (no state).
std::string DryRunText(const BridgeConfig& config, const ClientOptions& bus);

}  // namespace fifobus::bridge

#endif  // FIFOBUS_CLIENTS_CLI_BRIDGE_DRY_RUN_H_
