#ifndef FIFOBUS_CLIENTS_CLI_BRIDGE_LIVE_IN_H_
#define FIFOBUS_CLIENTS_CLI_BRIDGE_LIVE_IN_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "clients/cli/bridge/bridge_map.h"
#include "clients/cpp/client.h"

namespace fifobus::bridge {

// Publishes what comes on subjects of NATS on the bus, at most once: what finds
// no room is dropped and counted. A message with a reply subject is a request,
// and the first reply on the bus goes back. Thread-compatible.
class LiveIn : public BridgeMap {
 public:
  static absl::StatusOr<std::unique_ptr<LiveIn>> Open(
      const MapSurroundings& surroundings, const MapConfig& config,
      ClientOptions options);

  int bus_fd() const override { return client_->fd(); }
  void OnBus() override;
  void OnConnected(size_t payload_bytes_max) override;
  void OnDisconnected() override {}
  std::string subject() const override { return config_.filter; }
  void OnNats(std::string_view token, NatsMessage message) override;
  Deadline next_time() const override { return Deadline::Never(); }
  void OnTime() override {}
  absl::Status status() const override { return status_; }
  std::string trouble() const override { return ""; }
  MapCounters counters() const override { return counters_; }
  const MapConfig& config() const override { return config_; }

 private:
  LiveIn(const MapSurroundings& surroundings, const MapConfig& config,
         std::unique_ptr<Client> client);

  void OnReply(const Received& received);

  const MapSurroundings around_;
  const MapConfig config_;
  const std::unique_ptr<Client> client_;
  size_t payload_bytes_max_ = 0;
  // Of requests that are on the bus: where the reply goes. The client bounds
  // them, and ends each.
  std::map<uint64_t, std::string> reply_subjects_;
  absl::Status status_;
  MapCounters counters_;
};

}  // namespace fifobus::bridge

#endif  // FIFOBUS_CLIENTS_CLI_BRIDGE_LIVE_IN_H_
