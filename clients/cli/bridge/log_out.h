#ifndef FIFOBUS_CLIENTS_CLI_BRIDGE_LOG_OUT_H_
#define FIFOBUS_CLIENTS_CLI_BRIDGE_LOG_OUT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "clients/cli/bridge/backoff.h"
#include "clients/cli/bridge/bridge_map.h"
#include "clients/cli/bridge/jet_stream.h"
#include "clients/cli/bridge/out_chain.h"
#include "clients/cpp/client.h"

namespace fifobus::bridge {

// Brings what a durable reader reads out of a log into a stream: see OutChain.
// The reader's position follows the stream's acknowledgements, so the log keeps
// what the stream does not have. Thread-compatible.
class LogOut : public BridgeMap {
 public:
  // `inbox` is the map's part of it. Subscribes, and waits for that.
  static absl::StatusOr<std::unique_ptr<LogOut>> Open(
      const MapSurroundings& surroundings, const MapConfig& config,
      std::string inbox, ClientOptions options);

  int bus_fd() const override;
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
    kAskingEnd,      // what its last message is
    kAskingMessage,  // what its last message of this log is
    kFlowing,
  };

  LogOut(const MapSurroundings& surroundings, const MapConfig& config,
         std::string inbox, ClientOptions options,
         std::unique_ptr<Client> client);

  void TakeMessage(const Received& received);
  // Reads the log again, which has turned out to be made anew.
  void ReadAnew();
  // The stream has nothing from this offset on: reads the log again from there.
  void GoBackTo(uint64_t offset);
  absl::Status ReadAgain();
  void TellDone();
  bool IsTooLarge(const NatsMessage& message) const;
  void SetAside(const OutMessage& message, DeadReason reason);

  void Ask(Phase phase, std::string subject, std::string body);
  void BeginRound();
  // Begins a round later, because of this.
  void Pause(std::string trouble);
  void OnStream(const NatsMessage& answer);
  void OnEnd(const NatsMessage& answer);
  void OnLastMessage(const NatsMessage& answer);
  void OnAck(std::string_view round, std::string_view offset,
             const NatsMessage& answer);
  void SendMore();
  // Asks when the server has stored it, by its clock.
  void AskTime(uint64_t stream_sequence);
  void OnTimeOf(const NatsMessage& answer);

  const MapSurroundings around_;
  const MapConfig config_;
  const std::string inbox_;
  const ClientOptions options_;
  std::unique_ptr<Client> client_;  // null: it is to read again, see GoBackTo
  OutChain chain_;

  Phase phase_ = Phase::kNoLink;
  Deadline next_;
  Backoff backoff_;
  size_t payload_bytes_max_ = 0;
  StreamState stream_;  // while its last message is asked for
  uint64_t passed_at_round_ = 0;
  std::string warning_;
  absl::Time sent_;  // when the first of what is in flight was sent
  // Of the message whose time is asked for: not sent before, and acknowledged.
  absl::Time sent_of_time_;
  absl::Time acked_;
  bool clock_is_known_ = false;  // on this connection
  uint64_t reader_ = 0;          // Received::subscription
  uint64_t told_done_ = 0;
  std::string trouble_;
  absl::Status status_;
  MapCounters counters_;
};

}  // namespace fifobus::bridge

#endif  // FIFOBUS_CLIENTS_CLI_BRIDGE_LOG_OUT_H_
