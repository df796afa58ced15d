#ifndef FIFOBUS_CLIENTS_CLI_BRIDGE_BRIDGE_PLAN_H_
#define FIFOBUS_CLIENTS_CLI_BRIDGE_BRIDGE_PLAN_H_

#include <string>
#include <vector>

#include "clients/cli/bridge/bridge_config.h"

// What a bridge would do, for people: `--check` prints it. Thread-safe (no
// state).
namespace fifobus::bridge {

// What would go where, one line for each map.
std::string PlanText(const BridgeConfig& config);

// What a bus has now.
struct BusNames {
  struct Log {
    std::string name;
    std::string pattern;
  };
  std::vector<std::string> topics;
  std::vector<Log> logs;
};

// What would go out of it: the topics that are there now with their subjects, a
// line each, and the maps of logs that no log stores.
std::string OutText(const BridgeConfig& config, const BusNames& bus);

// The subjects of a stream that has messages, or why they are not known.
struct StreamNames {
  std::string fault;
  std::vector<std::string> subjects;
};
// What a map would bring in.
std::string InText(const MapConfig& map, const StreamNames& stream);

}  // namespace fifobus::bridge

#endif  // FIFOBUS_CLIENTS_CLI_BRIDGE_BRIDGE_PLAN_H_
