#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/escaping.h"
#include "clients/cli/bridge/log_out.h"
#include "fmt/format.h"
#include "gtest/gtest.h"
#include "tests/bridge/map_fixture.h"

namespace fifobus::bridge {
namespace {

constexpr std::string_view kInfo = "$JS.API.STREAM.INFO.ORDERS";
constexpr std::string_view kGet = "$JS.API.STREAM.MSG.GET.ORDERS";

// A map that finds a stream's end, between a real broker and a NATS whose every
// answer stands in the test.
class LogOutEndTest : public MapTest {
 protected:
  LogOutEndTest() {
    StoreNumbers(1, 3);
    MapConfig config;
    config.name = "out orders/**";
    config.stream = "ORDERS";
    config.durable = "nats-ORDERS";
    config.pattern = "orders/**";
    config.filter = "orders.>";
    auto map = LogOut::Open(around_, config, std::string(kInbox), options_);
    EXPECT_TRUE(map.ok()) << map.status();
    map_ = *std::move(map);
    map_->OnConnected(1 << 20);
  }

  void Answer(std::string_view subject, std::string payload) {
    AnswerNext(*map_, subject, std::move(payload));
  }
  void AnswerInfo(int last, int deleted = 0) {
    Answer(kInfo, fmt::format(R"({{"state":{{"first_seq":1,"last_seq":{},)"
                              R"("num_deleted":{}}},)"
                              R"("config":{{"subjects":["orders.>"]}}}})",
                              last, deleted));
  }
  void AnswerMessage(int sequence, std::string_view id) {
    Answer(kGet, fmt::format(R"({{"message":{{"subject":"orders.new",)"
                             R"("seq":{},"hdrs":"{}","data":""}}}})",
                             sequence,
                             absl::Base64Escape(fmt::format(
                                 "NATS/1.0\r\nNats-Msg-Id: {}\r\n\r\n", id))));
  }
  void AnswerNothing() {
    Answer(kGet, R"({"error":{"code":404,"description":"no message found"}})");
  }
  // The sequence behind which the first message is sent.
  std::string ExpectedOfFirst() {
    const NatsMessage first = NextSent(*map_);
    EXPECT_EQ(first.subject, "orders.new");
    return std::string(
        first.header("Nats-Expected-Last-Sequence").value_or(""));
  }

  std::unique_ptr<LogOut> map_;
};

TEST_F(LogOutEndTest, ServerThatLacksTheLastMessageIsNotBelieved) {
  AnswerInfo(2);
  AnswerNothing();
  EXPECT_EQ(map_->trouble(),
            "stream ORDERS: its servers do not agree on what it holds");
  map_->OnBus();
  EXPECT_TRUE(nats_.sent.empty()) << "it would be sent again";
  AnswerInfo(2);
}

TEST_F(LogOutEndTest, LastMessageMayHaveBeenDeleted) {
  AnswerInfo(2, /*deleted=*/1);
  AnswerNothing();
  EXPECT_EQ(ExpectedOfFirst(), "2");
}

TEST_F(LogOutEndTest, LastMessageMayBeOfAnotherSubject) {
  AnswerInfo(2);
  Answer(kGet, R"({"message":{"subject":"other","seq":2,"data":"eA=="}})");
  AnswerNothing();
  EXPECT_EQ(ExpectedOfFirst(), "2");
}

TEST_F(LogOutEndTest, WhatTheStreamHasLostIsReadFromTheLogAgain) {
  AnswerInfo(0);
  AnswerNothing();
  std::string first_id;
  for (int sequence = 1; sequence <= 3; ++sequence) {
    const NatsMessage sent = NextSent(*map_);
    if (sequence == 1) first_id = sent.header("Nats-Msg-Id").value_or("");
    MapTest::Answer(*map_, sent,
                    fmt::format(R"({{"stream":"ORDERS","seq":{}}})", sequence));
  }
  // The question for the first one's time, and then a new leader.
  nats_.sent.clear();
  map_->OnDisconnected();
  map_->OnConnected(1 << 20);
  for (int round = 1; round <= 2; ++round) {
    AnswerInfo(1);
    AnswerMessage(1, first_id);
  }
  for (const char* number : {"2", "3"}) {
    EXPECT_EQ(NextSent(*map_).payload, number);
  }
}

}  // namespace
}  // namespace fifobus::bridge
