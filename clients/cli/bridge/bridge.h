#ifndef FIFOBUS_CLIENTS_CLI_BRIDGE_BRIDGE_H_
#define FIFOBUS_CLIENTS_CLI_BRIDGE_BRIDGE_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "broker/base/unique_fd.h"
#include "clients/cli/bridge/bridge_config.h"
#include "clients/cli/bridge/bridge_map.h"
#include "clients/cli/bridge/bridge_state.h"
#include "clients/cli/bridge/dead_letters.h"
#include "clients/cli/bridge/nats_link.h"
#include "clients/cpp/client.h"

namespace fifobus::bridge {

// All maps of a configuration at work, on one thread, over one connection to
// NATS. Each map has a session with the bus of its own, because positions and
// publishers' names belong to sessions. Thread-compatible.
class Bridge {
 public:
  // Opens the maps, which waits for a broker as `options` say; NATS may come
  // later. `metrics` are told of it; null: none are.
  static absl::StatusOr<std::unique_ptr<Bridge>> Open(
      const BridgeConfig& config, const ClientOptions& options,
      std::shared_ptr<BridgeMetrics> metrics);

  // Works until `signals` has one, or a map fails for good: its status.
  absl::Status Run(const UniqueFd& signals);

 private:
  // The link as the maps' sender.
  class LinkSender : public NatsSender {
   public:
    SendOutcome Send(NatsMessage message) override {
      return link->Send(std::move(message));
    }
    std::unique_ptr<NatsLink> link;
  };

  Bridge(const BridgeConfig& config, std::unique_ptr<Client> dead_client,
         std::unique_ptr<Client> status_client,
         std::shared_ptr<BridgeMetrics> metrics);

  absl::Status OpenMaps(const ClientOptions& options);
  absl::StatusOr<std::unique_ptr<BridgeMap>> OpenMap(const MapConfig& config,
                                                     size_t index,
                                                     ClientOptions options);
  std::string InboxOf(size_t map) const;
  void TakeEvents();
  void TakeMessage(LinkEvent event);
  absl::Status MapStatus() const;
  // Waits for something to do, and does it.
  void WorkOnce(const UniqueFd& signals);

  const BridgeConfig config_;
  const std::string inbox_;
  LinkSender sender_;
  DeadLetters dead_letters_;
  ClockCheck clock_;
  const MapSurroundings surroundings_;
  BridgeState::Maps maps_;
  // Of the link's subscriptions, behind the inbox: the maps they belong to.
  std::vector<size_t> subscribed_maps_;
  BridgeState state_;
};

}  // namespace fifobus::bridge

#endif  // FIFOBUS_CLIENTS_CLI_BRIDGE_BRIDGE_H_
