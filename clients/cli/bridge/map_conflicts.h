#ifndef FIFOBUS_CLIENTS_CLI_BRIDGE_MAP_CONFLICTS_H_
#define FIFOBUS_CLIENTS_CLI_BRIDGE_MAP_CONFLICTS_H_

#include <string>
#include <vector>

#include "clients/cli/bridge/bridge_config.h"

namespace fifobus::bridge {

// What is wrong with maps beside each other, one line for each:
//
// - a message that one brings in, another one would send out to where the first
//   one would read it again: a loop;
// - two of them would write to one stream, which only one may do that promises
//   each message once;
// - two of them would share a durable reader or a consumer.
//
// Loops through other bridges cannot be seen here. Fifobus-Origin ends them:
// message_headers.h.
std::vector<std::string> MapConflicts(const BridgeConfig& config);

}  // namespace fifobus::bridge

#endif  // FIFOBUS_CLIENTS_CLI_BRIDGE_MAP_CONFLICTS_H_
