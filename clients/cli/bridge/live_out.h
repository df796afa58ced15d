#ifndef FIFOBUS_CLIENTS_CLI_BRIDGE_LIVE_OUT_H_
#define FIFOBUS_CLIENTS_CLI_BRIDGE_LIVE_OUT_H_

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

// Publishes what is published on topics without a log to subjects of NATS, at
// most once: what comes while there is no connection is dropped and counted. It
// reads the bus whatever NATS does, so that no publisher waits for it.
//
// A request gets its reply back: the reply subject that NATS sees is one of the
// bridge's inbox, which it keeps until the request expires. Thread-compatible.
class LiveOut : public BridgeMap {
 public:
  // `inbox` is the map's part of it.
  static absl::StatusOr<std::unique_ptr<LiveOut>> Open(
      const MapSurroundings& surroundings, const MapConfig& config,
      std::string inbox, ClientOptions options);

  int bus_fd() const override { return client_->fd(); }
  void OnBus() override;
  void OnConnected(size_t payload_bytes_max) override;
  void OnDisconnected() override { payload_bytes_max_ = 0; }
  void OnNats(std::string_view token, NatsMessage message) override;
  Deadline next_time() const override;
  void OnTime() override;
  absl::Status status() const override { return status_; }
  std::string trouble() const override { return ""; }
  MapCounters counters() const override { return counters_; }
  const MapConfig& config() const override { return config_; }

 private:
  // A request whose reply is awaited.
  struct Asked {
    std::string reply_topic;
    Deadline until;
  };

  LiveOut(const MapSurroundings& surroundings, const MapConfig& config,
          std::string inbox, std::unique_ptr<Client> client);

  void Pass(const Received& received);
  // The reply subject for a request; empty: too many are awaited.
  std::string Await(const MessageView& request);

  const MapSurroundings around_;
  const MapConfig config_;
  const std::string inbox_;
  const std::unique_ptr<Client> client_;
  size_t payload_bytes_max_ = 0;     // 0: there is no connection
  std::map<uint64_t, Asked> asked_;  // by number, in the order of asking
  uint64_t asked_last_ = 0;
  absl::Status status_;
  MapCounters counters_;
};

}  // namespace fifobus::bridge

#endif  // FIFOBUS_CLIENTS_CLI_BRIDGE_LIVE_OUT_H_
