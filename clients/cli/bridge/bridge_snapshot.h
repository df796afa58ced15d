#ifndef FIFOBUS_CLIENTS_CLI_BRIDGE_BRIDGE_SNAPSHOT_H_
#define FIFOBUS_CLIENTS_CLI_BRIDGE_BRIDGE_SNAPSHOT_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "clients/cli/bridge/bridge_map.h"

namespace fifobus::bridge {

// All that a bridge says of itself, at one moment. BRIDGE.md lists the members of
// its JSON. Thread-compatible, and a value.
struct BridgeSnapshot {
  struct Map {
    std::string name;
    std::string pattern;
    std::string stream;  // empty: live
    std::string reader;  // of a log; empty: none
    bool is_out = false;
    MapCounters counters;
    std::map<std::string, uint64_t> dead;  // set aside, by reason
    std::string trouble;
    absl::Time since;  // of the trouble, or of its end
    std::string warning;
  };

  std::string origin;
  bool connected = false;
  std::string server;   // now, or last, or all that are tried
  std::string trouble;  // of the connection
  absl::Time since;     // of the connection, or of its end
  uint64_t reconnects = 0;
  std::string clock;                                  // what is wrong with it
  absl::Duration clock_ahead = absl::ZeroDuration();  // the server's
  std::vector<Map> maps;
};

// On one line.
std::string ToJson(const BridgeSnapshot& snapshot);

}  // namespace fifobus::bridge

#endif  // FIFOBUS_CLIENTS_CLI_BRIDGE_BRIDGE_SNAPSHOT_H_
