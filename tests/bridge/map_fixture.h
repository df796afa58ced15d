#ifndef FIFOBUS_TESTS_BRIDGE_MAP_FIXTURE_H_
#define FIFOBUS_TESTS_BRIDGE_MAP_FIXTURE_H_

#include <poll.h>

#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "clients/cli/bridge/bridge_map.h"
#include "gtest/gtest.h"
#include "tests/support/log_bus.h"

namespace fifobus::bridge {

// Keeps what the maps send to NATS, for the script to answer. Thread-compatible.
class KeptSender : public NatsSender {
 public:
  SendOutcome Send(NatsMessage message) override {
    sent.push_back(std::move(message));
    return SendOutcome::kQueued;
  }

  std::deque<NatsMessage> sent;
};

// What maps need, between a real broker and a NATS whose every answer stands in
// the test. Thread-compatible.
class MapTest : public LogBusTest {
 protected:
  static constexpr std::string_view kInbox = "INBOX.0";

  MapTest()
      : dead_letters_(bus_->Connect(), "bridge/dead", "edge1"),
        around_{bridge_, nats_, dead_letters_, clock_} {
    bridge_.origin = "edge1";
    options_.dir = bus_->dir();
  }

  // Lets the map work until `condition`; false: it does not come.
  template <typename Condition>
  static bool Work(BridgeMap& map, Condition condition) {
    const Deadline deadline = kHang;
    while (!condition()) {
      if (deadline.HasCome()) return false;
      // Bytes wake it; a time that it waits for, soon enough.
      pollfd polled = {map.bus_fd(), POLLIN, 0};
      poll(&polled, 1, /*timeout=*/5);
      map.OnBus();
      if (map.next_time().HasCome()) map.OnTime();
    }
    return true;
  }
  // The next message that the map sends; one without subject: none comes.
  NatsMessage NextSent(BridgeMap& map) {
    if (!Work(map, [this] { return !nats_.sent.empty(); })) return {};
    NatsMessage next = std::move(nats_.sent.front());
    nats_.sent.pop_front();
    return next;
  }

  // Answers a message that the map has sent.
  static void Answer(BridgeMap& map, const NatsMessage& asked,
                     std::string payload) {
    NatsMessage answer;
    answer.payload = std::move(payload);
    map.OnNats(std::string_view(asked.reply).substr(kInbox.size() + 1),
               std::move(answer));
  }
  // Answers the next one, which must be on `subject`.
  void AnswerNext(BridgeMap& map, std::string_view subject,
                  std::string payload) {
    const NatsMessage asked = NextSent(map);
    ASSERT_EQ(asked.subject, subject);
    Answer(map, asked, std::move(payload));
  }

  // What a client of the bus receives next.
  static OwnedMessage NextOnBus(Client& client) {
    const Received received = client.Receive(kHang);
    EXPECT_EQ(received.outcome, ReceiveOutcome::kMessage);
    return received.outcome == ReceiveOutcome::kMessage
               ? OwnedMessage(received.message)
               : OwnedMessage();
  }

  BridgeConfig bridge_;
  ClientOptions options_;
  KeptSender nats_;
  DeadLetters dead_letters_;
  ClockCheck clock_;
  const MapSurroundings around_;
};

inline std::string HeaderOf(const OwnedMessage& message,
                            std::string_view name) {
  for (const auto& header : message.headers) {
    if (header.name == name) return header.value;
  }
  return "";
}

}  // namespace fifobus::bridge

#endif  // FIFOBUS_TESTS_BRIDGE_MAP_FIXTURE_H_
