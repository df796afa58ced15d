#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "clients/cli/bridge/stream_in.h"
#include "fmt/format.h"
#include "gtest/gtest.h"
#include "tests/bridge/map_fixture.h"

namespace fifobus::bridge {
namespace {

constexpr std::string_view kStreamInfo = "$JS.API.STREAM.INFO.PRICES";
constexpr std::string_view kConsumerInfo = "$JS.API.CONSUMER.INFO.PRICES.edge1";
constexpr std::string_view kPull = "$JS.API.CONSUMER.MSG.NEXT.PRICES.edge1";
constexpr std::string_view kGet = "$JS.API.STREAM.MSG.GET.PRICES";

// A map between a real broker and a NATS whose every answer stands in the test.
class StreamInHolesTest : public MapTest {
 protected:
  StreamInHolesTest() {
    MapConfig config;
    config.kind = MapKind::kStreamIn;
    config.name = "in PRICES/edge1";
    config.stream = "PRICES";
    config.consumer = "edge1";
    config.filter = ">";
    config.pattern = "**";
    auto map = StreamIn::Open(around_, config, std::string(kInbox), options_);
    EXPECT_TRUE(map.ok()) << map.status();
    map_ = *std::move(map);
    map_->OnConnected(1 << 20);
  }

  void Answer(std::string_view subject, std::string payload) {
    AnswerNext(*map_, subject, std::move(payload));
  }
  // The stream's end, and what its consumer has delivered.
  void AnswerRound(uint64_t last, uint64_t delivered_consumer,
                   uint64_t delivered, uint64_t floor) {
    Answer(kStreamInfo, fmt::format(R"({{"state":{{"last_seq":{}}}}})", last));
    Answer(
        kConsumerInfo,
        fmt::format(R"({{"delivered":{{"consumer_seq":{},"stream_seq":{}}},)"
                    R"("ack_floor":{{"stream_seq":{}}},"num_ack_pending":{},)"
                    R"("config":{{"ack_policy":"explicit"}}}})",
                    delivered_consumer, delivered, floor, delivered - floor));
  }
  // "eA==" is an x.
  void AnswerGet(uint64_t sequence) {
    Answer(kGet, fmt::format(R"({{"message":{{"subject":"orders.{}",)"
                             R"("seq":{},"data":"eA=="}}}})",
                             sequence, sequence));
  }
  void TakePull() { EXPECT_EQ(NextSent(*map_).subject, kPull); }
  void Deliver(uint64_t sequence, uint64_t consumer_sequence) {
    NatsMessage message;
    message.subject = fmt::format("orders.{}", sequence);
    message.reply = fmt::format("$JS.ACK.PRICES.edge1.1.{}.{}.1.0", sequence,
                                consumer_sequence);
    map_->OnNats("", std::move(message));
  }
  // The topics of what the log has, when it has as many.
  std::vector<std::string> Stored(size_t count) {
    auto client = bus_->Connect();
    SubscribeOptions from_start;
    from_start.start = Start::First();
    EXPECT_TRUE(client->Subscribe("orders/**", from_start, kHang).ok());
    std::vector<std::string> topics;
    while (topics.size() < count) {
      const Received received = client->Receive(kHang);
      if (received.outcome == ReceiveOutcome::kTimedOut) break;
      if (received.outcome != ReceiveOutcome::kMessage) continue;
      topics.emplace_back(received.message.topic);
    }
    return topics;
  }

  std::unique_ptr<StreamIn> map_;
};

using Topics = std::vector<std::string>;

TEST_F(StreamInHolesTest, RepeatDoesNotHideTheHoleBeforeIt) {
  AnswerRound(/*last=*/3, /*delivered_consumer=*/0, /*delivered=*/0,
              /*floor=*/0);
  TakePull();
  Deliver(1, 1);
  // The second is lost on its way, and the first comes again.
  Deliver(1, 3);
  AnswerRound(3, 3, 2, 0);
  AnswerGet(2);
  TakePull();
  Deliver(3, 4);
  EXPECT_EQ(Stored(3), (Topics{"orders/1", "orders/2", "orders/3"}));
}

TEST_F(StreamInHolesTest, DeliveryDuringARoundIsFetched) {
  AnswerRound(2, 0, 0, 0);
  TakePull();
  Deliver(2, 2);  // The first is lost.
  Answer(kStreamInfo, R"({"state":{"last_seq":3}})");
  Answer(kConsumerInfo,
         R"({"delivered":{"consumer_seq":2,"stream_seq":2},)"
         R"("num_ack_pending":2,"config":{"ack_policy":"explicit"}})");
  Deliver(3, 3);
  AnswerGet(1);
  AnswerGet(2);
  AnswerRound(3, 3, 3, 0);
  AnswerGet(3);
  TakePull();
  EXPECT_EQ(Stored(3), (Topics{"orders/1", "orders/2", "orders/3"}));
}

TEST_F(StreamInHolesTest, ServerThatLacksWhatWasDeliveredIsNotBelieved) {
  AnswerRound(2, 2, 2, 0);
  AnswerGet(1);
  Answer(kGet, R"({"error":{"code":404,"description":"no message found"}})");
  EXPECT_EQ(map_->trouble(),
            "stream PRICES: its servers do not agree on what it holds");
  EXPECT_TRUE(nats_.sent.empty());
  AnswerRound(2, 2, 2, 0);
  AnswerGet(2);
  TakePull();
  EXPECT_EQ(Stored(2), (Topics{"orders/1", "orders/2"}));
}

TEST_F(StreamInHolesTest, LateRepeatFromBeforeARoundBeginsNoOther) {
  AnswerRound(2, 2, 2, 0);
  AnswerGet(1);
  AnswerGet(2);
  TakePull();
  Deliver(2, 2);
  Deliver(3, 3);
  EXPECT_EQ(Stored(3), (Topics{"orders/1", "orders/2", "orders/3"}));
}

}  // namespace
}  // namespace fifobus::bridge
