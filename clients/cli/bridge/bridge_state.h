#ifndef FIFOBUS_CLIENTS_CLI_BRIDGE_BRIDGE_STATE_H_
#define FIFOBUS_CLIENTS_CLI_BRIDGE_BRIDGE_STATE_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "clients/cli/bridge/bridge_map.h"
#include "clients/cli/bridge/bridge_snapshot.h"
#include "clients/cli/bridge/link_event.h"
#include "clients/cpp/client.h"
#include "clients/cpp/deadline.h"

namespace fifobus::bridge {

class BridgeMetrics;

// Tells people and tools how the bridge is: a line in the log for each change;
// on the status topic, if there is one, all of it as JSON, retained, at each
// change and every interval; and to the metrics, if there are any.
//
// The status goes when the bridge ends: the client's will clears it after a kill.
// Thread-compatible.
class BridgeState {
 public:
  using Maps = std::vector<std::unique_ptr<BridgeMap>>;

  // `client` is null if there is no status topic, and so may `metrics` be.
  BridgeState(const MapSurroundings& surroundings,
              std::unique_ptr<Client> client,
              std::shared_ptr<BridgeMetrics> metrics);
  ~BridgeState();
  BridgeState(const BridgeState&) = delete;
  BridgeState& operator=(const BridgeState&) = delete;

  // What the client of the status topic publishes when it dies.
  static OwnedMessage WillOf(const BridgeConfig& config);

  // An event of the link that is no message.
  void OnLink(const LinkEvent& event);
  // Compares with what was told last.
  void Update(const Maps& maps);
  Deadline next_time() const { return next_; }

 private:
  enum class Changed { kNo, kYes };
  Changed TellChanges(const Maps& maps);
  BridgeSnapshot Snapshot(const Maps& maps) const;
  void Publish(const std::string& payload);

  const MapSurroundings around_;
  const std::unique_ptr<Client> client_;
  const std::shared_ptr<BridgeMetrics> metrics_;
  bool connected_ = false;
  std::string server_;
  std::string trouble_;  // why it is not connected
  absl::Time since_;     // of the one or the other
  uint64_t connections_ = 0;
  std::string clock_;
  struct Told {
    std::string trouble;
    std::string warning;
    absl::Time since;
  };
  std::vector<Told> told_;
  // When the state is looked at, when it is published at the latest, and when
  // at the earliest.
  Deadline next_ = Deadline::Now();
  Deadline publish_at_ = Deadline::Now();
  Deadline publish_from_ = Deadline::Now();
};

}  // namespace fifobus::bridge

#endif  // FIFOBUS_CLIENTS_CLI_BRIDGE_BRIDGE_STATE_H_
