#ifndef FIFOBUS_CLIENTS_CLI_BRIDGE_RETAINED_IN_H_
#define FIFOBUS_CLIENTS_CLI_BRIDGE_RETAINED_IN_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "clients/cli/bridge/backoff.h"
#include "clients/cli/bridge/bridge_map.h"
#include "clients/cli/bridge/text.h"
#include "clients/cpp/client.h"

namespace fifobus::bridge {

// Keeps the bus's retained values as the last ones of a stream: with each
// connection to NATS or to a broker it gets all that there are, and then each
// change. An empty message clears the value.
//
// A consumer that lasts as long as the round pushes them, numbered. If a number
// is missing, or signs of life are, a new round begins. What this bridge has sent
// itself is passed over. Thread-compatible.
class RetainedIn : public BridgeMap {
 public:
  // `inbox` is the map's part of it. Waits for a broker, as `options` say.
  static absl::StatusOr<std::unique_ptr<RetainedIn>> Open(
      const MapSurroundings& surroundings, const MapConfig& config,
      std::string inbox, ClientOptions options);

  int bus_fd() const override { return client_->fd(); }
  void OnBus() override;
  void OnConnected(size_t payload_bytes_max) override;
  void OnDisconnected() override;
  // Where the consumer pushes to.
  std::string subject() const override { return Concat(inbox_, "-values"); }
  void OnNats(std::string_view token, NatsMessage message) override;
  Deadline next_time() const override;
  void OnTime() override;
  absl::Status status() const override { return status_; }
  std::string trouble() const override { return trouble_; }
  std::string warning() const override { return warning_; }
  MapCounters counters() const override;
  const MapConfig& config() const override { return config_; }

 private:
  enum class Phase {
    kNoLink,
    kPausing,  // until the next attempt
    kAskingStream,
    kMakingConsumer,
    kFlowing,
  };

  RetainedIn(const MapSurroundings& surroundings, const MapConfig& config,
             std::string inbox, std::unique_ptr<Client> client);

  void Ask(Phase phase, std::string subject, std::string body);
  void BeginRound();
  // The values of this round may be lost.
  void BeginRoundIfLinked();
  void Pause(std::string trouble);
  void DeleteConsumer();
  void OnStream(const NatsMessage& answer);
  void OnConsumer(const NatsMessage& answer);
  void OnPushed(NatsMessage message);
  void OnSignOfLife(const NatsMessage& message);
  void TakeValue(NatsMessage message);
  void PublishWaiting();
  // The server sends on when it has an answer.
  void AnswerFlowControl();

  const MapSurroundings around_;
  const MapConfig config_;
  const std::string inbox_;
  const std::unique_ptr<Client> client_;

  Phase phase_ = Phase::kNoLink;
  uint64_t round_ = 0;
  Deadline next_;
  Backoff backoff_;
  std::string trouble_;
  std::string warning_;
  absl::Status status_;
  MapCounters counters_;

  std::string consumer_;            // of this round; empty: none was made
  uint64_t consumer_sequence_ = 0;  // of its last message
  uint64_t unread_ = 0;             // in the stream, behind it
  // What the bus has not taken yet. The server waits for an answer then, so that
  // a part of its window bounds it.
  std::deque<OwnedMessage> waiting_;
  Deadline retry_;
  std::string flow_reply_;  // empty: no answer is wanted
};

}  // namespace fifobus::bridge

#endif  // FIFOBUS_CLIENTS_CLI_BRIDGE_RETAINED_IN_H_
