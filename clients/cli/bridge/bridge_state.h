#ifndef FIFOBUS_CLIENTS_CLI_BRIDGE_BRIDGE_STATE_H_
#define FIFOBUS_CLIENTS_CLI_BRIDGE_BRIDGE_STATE_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "clients/cli/bridge/bridge_config.h"
#include "clients/cli/bridge/bridge_map.h"
#include "clients/cli/bridge/link_event.h"
#include "clients/cpp/client.h"
#include "clients/cpp/deadline.h"

namespace fifobus::bridge {

// Tells people how the bridge is: a line in the log for each change, and on the
// status topic, if there is one, all of it as JSON, retained, every interval:
//
//   {"origin": "edge1", "server": "nats://10.0.0.1:4222", "trouble": "",
//    "maps": [{"map": "out orders/**", "passed": 10, ..., "trouble": ""}]}
//
// Thread-compatible.
class BridgeState {
 public:
  using Maps = std::vector<std::unique_ptr<BridgeMap>>;

  // `client` is null if there is no status topic.
  BridgeState(const BridgeConfig& config, std::unique_ptr<Client> client);

  // An event of the link that is no message.
  void OnLink(const LinkEvent& event);
  // Compares with what was told last.
  void Update(const Maps& maps);
  Deadline next_time() const { return next_; }

 private:
  void Publish(const Maps& maps);
  std::string Json(const Maps& maps) const;

  const BridgeConfig& config_;
  const std::unique_ptr<Client> client_;
  std::string server_;   // empty: there is no connection
  std::string trouble_;  // why not
  absl::Time since_;     // of the one or the other
  struct Told {
    std::string trouble;
    absl::Time since;
  };
  std::vector<Told> told_;
  Deadline next_ = Deadline::Now();
};

}  // namespace fifobus::bridge

#endif  // FIFOBUS_CLIENTS_CLI_BRIDGE_BRIDGE_STATE_H_
