#ifndef FIFOBUS_CLIENTS_CLI_BRIDGE_RETAINED_OUT_H_
#define FIFOBUS_CLIENTS_CLI_BRIDGE_RETAINED_OUT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "clients/cli/bridge/backoff.h"
#include "clients/cli/bridge/bridge_map.h"
#include "clients/cli/bridge/value_queue.h"
#include "clients/cpp/client.h"

namespace fifobus::bridge {

// Keeps a stream's last values as the bus's retained ones: at the start it sends
// all that there are, and clears those of the stream that the bus has no more;
// then each change. A cleared value is an empty message. Between two changes of
// one topic during an outage only the second one is sent.
//
// A value that came over a bridge is not sent. It reads the bus whatever NATS
// does, so that no publisher waits for it; when it has lost something there, it
// begins anew. Thread-compatible.
class RetainedOut : public BridgeMap {
 public:
  // `inbox` is the map's part of it. Subscribes, and waits for that.
  static absl::StatusOr<std::unique_ptr<RetainedOut>> Open(
      const MapSurroundings& surroundings, const MapConfig& config,
      std::string inbox, ClientOptions options);

  int bus_fd() const override { return client_->fd(); }
  void OnBus() override;
  void OnConnected(size_t payload_bytes_max) override;
  void OnDisconnected() override;
  void OnNats(std::string_view token, NatsMessage message) override;
  Deadline next_time() const override { return next_; }
  void OnTime() override;
  absl::Status status() const override { return status_; }
  std::string trouble() const override { return trouble_; }
  std::string warning() const override { return warning_; }
  MapCounters counters() const override;
  const MapConfig& config() const override { return config_; }

 private:
  // What the map waits for, with `next_` as its deadline.
  enum class Phase {
    kNoLink,
    kPausing,       // until the next attempt
    kAskingStream,  // how it is
    kMakingStream,
    kAskingSubjects,  // which ones it has values of
    kFlowing,
  };

  RetainedOut(const MapSurroundings& surroundings, const MapConfig& config,
              std::string inbox, ClientOptions options,
              std::unique_ptr<Client> client);

  static absl::StatusOr<std::unique_ptr<Client>> Connect(
      const MapConfig& config, const ClientOptions& options);

  // Gets all current values once more.
  void ReadAnew();
  void TakeValue(const MessageView& message);
  void Queue(NatsMessage value);
  void SetAside(const NatsMessage& value, DeadReason reason);

  void Ask(Phase phase, std::string subject, std::string body);
  void BeginRound();
  void Pause(std::string trouble);
  void OnStream(const NatsMessage& answer);
  void AskSubjects();
  void OnSubjects(const NatsMessage& answer);
  void OnAck(uint64_t version, const NatsMessage& answer);
  void SendMore();

  const MapSurroundings around_;
  const MapConfig config_;
  const std::string inbox_;
  const ClientOptions options_;
  std::unique_ptr<Client> client_;
  ValueQueue queue_;
  // The subjects that have a value on the bus, until the stream's are compared
  // with them.
  std::optional<std::set<std::string, std::less<>>> current_;
  uint64_t subjects_asked_ = 0;  // pages: so many are had
  bool lags_ = false;            // values found no room: to be read anew

  Phase phase_ = Phase::kNoLink;
  uint64_t round_ = 0;
  Deadline next_;
  Backoff backoff_;
  size_t payload_bytes_max_ = 0;
  std::string trouble_;
  std::string warning_;
  absl::Status status_;
  MapCounters counters_;
};

}  // namespace fifobus::bridge

#endif  // FIFOBUS_CLIENTS_CLI_BRIDGE_RETAINED_OUT_H_
