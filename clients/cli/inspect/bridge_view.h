#ifndef FIFOBUS_CLIENTS_CLI_INSPECT_BRIDGE_VIEW_H_
#define FIFOBUS_CLIENTS_CLI_INSPECT_BRIDGE_VIEW_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "clients/cpp/client.h"
#include "proto/frame.pb.h"

// What `ls`, `info` and `why` show of bridges to NATS. A bridge says it itself, on
// its status topic: BRIDGE.md. Only how far a log's reader is behind is known to
// the broker. Each text ends with a newline, or is empty. Thread-safe (no state).
namespace fifobus::cli {

struct BridgeView {
  struct Map {
    std::string name;
    std::string pattern;
    std::string stream;
    std::string reader;  // of a log
    uint64_t passed = 0;
    uint64_t in_flight = 0;
    uint64_t set_aside = 0;
    std::optional<uint64_t> behind;
    std::string trouble;
    std::string warning;
    absl::Time since;  // of the trouble
  };

  std::string origin;
  bool connected = false;
  std::string server;
  std::string trouble;
  absl::Time since;
  std::string clock;
  std::vector<Map> maps;
  std::string json;  // as the bridge has published it
};

// Nothing: it is no status of a bridge.
std::optional<BridgeView> ReadBridgeStatus(std::string_view json);

// The status of each bridge that has a session now. It asks for the retained
// values of the topics that a bridge publishes on, and of no others: without a
// bridge it costs nothing.
std::vector<BridgeView> ViewBridges(Client& client,
                                    const pb::StatsReply& stats);

// A table of the bridges, and one of their maps.
std::string BridgeTables(const std::vector<BridgeView>& bridges,
                         absl::Time now);

// All about one.
std::string BridgeLines(const BridgeView& bridge, absl::Time now);

// Sentences about the maps that take or bring a topic: whether it waits for a
// bridge, and what for.
std::string BridgeSentences(const std::vector<BridgeView>& bridges,
                            std::string_view topic, absl::Time now);

// The list of what they have published.
std::string BridgesJson(const std::vector<BridgeView>& bridges);

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_INSPECT_BRIDGE_VIEW_H_
