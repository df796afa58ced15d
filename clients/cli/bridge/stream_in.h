#ifndef FIFOBUS_CLIENTS_CLI_BRIDGE_STREAM_IN_H_
#define FIFOBUS_CLIENTS_CLI_BRIDGE_STREAM_IN_H_

#include <algorithm>
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
#include "clients/cli/bridge/jet_stream.h"
#include "clients/cli/bridge/pending_messages.h"
#include "clients/cli/bridge/text.h"
#include "clients/cpp/client.h"

namespace fifobus::bridge {

// Brings what a durable pull consumer gets out of a stream into a log, each
// message once and in order: published under the name nats-STREAM-CONSUMER with
// the stream's sequence, which the log remembers, and acknowledged when stored.
//
// A consumer delivers again what was lost on its way, but later, behind newer
// messages, which the log would take for repeats then. So a message is only
// published if it is the consumer's next one:
//
//   its consumer sequence = that of the last delivery + 1
//
// Otherwise, and on each connection, the map asks what the consumer has delivered
// and fetches what it has missed out of the stream itself, before it pulls on.
// What comes again afterwards is acknowledged, and no more.
//
// With level = "accepted" no log is needed. What a lost session leaves unknown is
// published again: at least once. Thread-compatible.
class StreamIn : public BridgeMap {
 public:
  // `inbox` is the map's part of it. Waits for a broker, as `options` say.
  static absl::StatusOr<std::unique_ptr<StreamIn>> Open(
      const MapSurroundings& surroundings, const MapConfig& config,
      std::string inbox, ClientOptions options);

  int bus_fd() const override { return client_->fd(); }
  void OnBus() override;
  void OnConnected(size_t /*payload_bytes_max*/) override { BeginRound(); }
  void OnDisconnected() override {
    ++round_;
    phase_ = Phase::kNoLink;
    next_ = Deadline::Never();
  }
  // Where pulls deliver to. The messages have the subjects that they were stored
  // with, so the subscription alone says what they are.
  std::string subject() const override { return Concat(inbox_, "-pulled"); }
  void OnNats(std::string_view token, NatsMessage message) override;
  Deadline next_time() const override {
    return waiting_.empty() ? next_ : std::min(next_, retry_);
  }
  void OnTime() override;
  absl::Status status() const override { return status_; }
  std::string trouble() const override { return trouble_; }
  std::string warning() const override { return warning_; }
  MapCounters counters() const override {
    MapCounters counters = counters_;
    counters.in_flight = pending_.size();
    counters.behind = unread_ + pending_.size();
    return counters;
  }
  const MapConfig& config() const override { return config_; }

 private:
  enum class Phase {
    kNoLink,
    kPausing,         // until the next attempt
    kAskingStream,    // where it ends
    kAskingConsumer,  // what it has delivered
    kMakingConsumer,
    kFetching,  // what was missed, out of the stream
    kPulling,
  };

  struct Waiting {
    uint64_t sequence = 0;
    OwnedMessage message;
  };

  StreamIn(const MapSurroundings& surroundings, const MapConfig& config,
           std::string inbox, std::unique_ptr<Client> client);

  void Ask(Phase phase, std::string subject, std::string body);
  void Pause(std::string trouble);
  // Begins anew with what the consumer says.
  void BeginRound();
  void OnStream(const NatsMessage& answer);
  void OnConsumer(const NatsMessage& answer);
  // Fetches the next missed message; or pulls, if there is none.
  void FetchNext();
  void OnFetched(const NatsMessage& answer);
  void OnPulled(NatsMessage message);
  void OnPullEnd(const NatsMessage& message);
  void PullMore();

  // Takes a message of the stream that was not taken before, in order.
  void TakeNew(uint64_t sequence, std::string ack_subject, NatsMessage message);
  void TakeRepeat(uint64_t sequence, std::string ack_subject);
  void PublishWaiting();
  void OnConfirmation(const Confirmation& confirmation);
  // It is done. Null: it is no more.
  void Settle(PendingMessages::Message* message) {
    if (message == nullptr) return;
    Acknowledge(message->ack_subject);
    pending_.SetDone(*message);
  }
  void Acknowledge(const std::string& ack_subject);
  enum class Aside { kDone, kLater };
  [[nodiscard]] Aside SetAside(uint64_t sequence, const NatsMessage& message,
                               DeadReason reason, std::string_view text);

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
  uint64_t unread_ = 0;  // in the stream, behind the last delivery
  absl::Status status_;
  MapCounters counters_;

  // By stream sequence, rising: those that are not done at the NATS side.
  PendingMessages pending_;
  size_t pending_bytes_largest_ = 1;  // of one message
  // Of them, those that the bus has not taken yet, because its pipe is full.
  std::deque<Waiting> waiting_;
  Deadline retry_;
  uint64_t taken_sequence_ = 0;     // of the stream, last
  uint64_t consumer_sequence_ = 0;  // of the last delivery
  // The same of deliveries that came before this round had caught up.
  uint64_t passed_over_ = 0;
  StreamState stream_;  // when the round began
  uint64_t fetch_until_ = 0;
  bool fetch_waits_ = false;  // for room in pending_
  uint64_t requested_ = 0;    // messages that pulls have asked for and not got
};

}  // namespace fifobus::bridge

#endif  // FIFOBUS_CLIENTS_CLI_BRIDGE_STREAM_IN_H_
