#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "clients/cli/bridge/live_in.h"
#include "clients/cli/bridge/live_out.h"
#include "clients/cli/bridge/log_out.h"
#include "fmt/format.h"
#include "gtest/gtest.h"
#include "proto/frame_writer.h"
#include "tests/bridge/map_fixture.h"

namespace fifobus::bridge {
namespace {

constexpr std::string_view kInfo = "$JS.API.STREAM.INFO.ORDERS";
constexpr std::string_view kGet = "$JS.API.STREAM.MSG.GET.ORDERS";
constexpr char kNoMessage[] =
    R"({"error":{"code":404,"err_code":10037,"description":"no message found"}})";

class LogOutTest : public MapTest {
 protected:
  std::unique_ptr<LogOut> Open(bool create = false,
                               size_t payload_bytes_max = 1 << 20) {
    MapConfig config;
    config.kind = MapKind::kLogOut;
    config.name = "out orders/**";
    config.stream = "ORDERS";
    config.durable = "nats-ORDERS";
    config.pattern = "orders/**";
    config.names.subject_prefix = "e1";
    config.filter = "e1.orders.>";
    config.create = create;
    auto map = LogOut::Open(around_, config, std::string(kInbox), options_);
    EXPECT_TRUE(map.ok()) << map.status();
    (*map)->OnConnected(payload_bytes_max);
    return *std::move(map);
  }

  // A stream that has no message any more.
  void AnswerStream(LogOut& map, uint64_t last_sequence,
                    const std::string& config = "") {
    AnswerNext(map, kInfo,
               fmt::format(R"({{"config":{{"subjects":["e1.>"]{}}},)"
                           R"("state":{{"first_seq":{},"last_seq":{}}}}})",
                           config, last_sequence + 1, last_sequence));
    AnswerNext(map, kGet, kNoMessage);
  }
  // The next message for the stream, which is answered as stored.
  NatsMessage Stored(LogOut& map, uint64_t sequence) {
    NatsMessage sent = NextSent(map);
    // Once a connection the server's clock is asked for.
    while (sent.subject == kGet) sent = NextSent(map);
    Answer(map, sent,
           fmt::format(R"({{"stream":"ORDERS","seq":{}}})", sequence));
    return sent;
  }
  uint64_t Lag() const {
    const auto stats = bus_->broker().CollectStats();
    return stats.logs(0).readers(0).lag();
  }
};

TEST_F(LogOutTest, EachMessageSaysWhatTheStreamMustEndWith) {
  StoreNumbers(1, 2);
  const auto map = Open();
  AnswerStream(*map, 7);
  const NatsMessage one = Stored(*map, 8);
  EXPECT_EQ(one.subject, "e1.orders.new");
  EXPECT_EQ(one.payload, "1");
  EXPECT_EQ(one.header("Nats-Expected-Last-Sequence"), "7");
  EXPECT_EQ(one.header("Nats-Expected-Stream"), "ORDERS");
  EXPECT_EQ(one.header("Fifobus-Origin"), "edge1");
  EXPECT_EQ(one.header("Fifobus-Offset"), "1");
  const NatsMessage two = Stored(*map, 9);
  EXPECT_EQ(two.header("Nats-Expected-Last-Sequence"), "8");
  // What the stream has acknowledged the reader is done with.
  EXPECT_TRUE(Work(*map, [this] { return Lag() == 0; }));
  EXPECT_EQ(map->counters().passed, 2U);
  EXPECT_EQ(map->counters().in_flight, 0U);
}

TEST_F(LogOutTest, WhatIsNotAcknowledgedIsSentAgainOnTheNextConnection) {
  StoreNumbers(1, 1);
  const auto map = Open();
  AnswerStream(*map, 0);
  EXPECT_EQ(NextSent(*map).payload, "1");
  EXPECT_EQ(Lag(), 1U);
  map->OnDisconnected();
  map->OnConnected(1 << 20);
  AnswerStream(*map, 0);
  EXPECT_EQ(Stored(*map, 1).payload, "1");
  EXPECT_EQ(map->counters().resent, 1U);
}

TEST_F(LogOutTest, MissingStreamIsMadeOnlyIfAskedFor) {
  const char missing[] =
      R"({"error":{"code":404,"description":"stream not found"}})";
  const auto waits = Open();
  AnswerNext(*waits, kInfo, missing);
  EXPECT_EQ(waits->trouble(),
            "stream ORDERS: stream not found; make it, or set create = true");
}

TEST_F(LogOutTest, StreamIsMadeWithTheMapsSubjects) {
  const auto map = Open(/*create=*/true);
  AnswerNext(*map, kInfo,
             R"({"error":{"code":404,"description":"stream not found"}})");
  const NatsMessage make = NextSent(*map);
  EXPECT_EQ(make.subject, "$JS.API.STREAM.CREATE.ORDERS");
  EXPECT_NE(make.payload.find("e1.orders.>"), std::string::npos);
  EXPECT_EQ(make.payload.find("max_msgs_per_subject"), std::string::npos);
}

TEST_F(LogOutTest, LimitsThatDropMessagesAreWarnedOf) {
  const auto map = Open();
  AnswerStream(*map, 0, R"(,"max_msgs_per_subject":1)");
  EXPECT_EQ(map->warning(),
            "stream ORDERS drops messages by its limits, read or not: "
            "max_msgs_per_subject 1");
  EXPECT_EQ(map->trouble(), "");
}

TEST_F(LogOutTest, TimeOfTheFirstStoredMessageShowsAClockThatIsOff) {
  StoreNumbers(1, 1);
  const auto map = Open();
  AnswerStream(*map, 0);
  Stored(*map, 1);
  AnswerNext(*map, kGet,
             R"({"message":{"seq":1,"subject":"e1.orders.new",)"
             R"("time":"2001-01-01T00:00:00Z"}})");
  EXPECT_NE(clock_.trouble().find("ahead of that of the NATS server"),
            std::string::npos)
      << clock_.trouble();
}

TEST_F(LogOutTest, MessageThatIsTooLargeIsSetAsideAndTheNextOneGoes) {
  const auto map = Open(/*create=*/false, /*payload_bytes_max=*/5000);
  AnswerStream(*map, 0);
  const auto dead = bus_->Subscribe("bridge/dead");
  const auto client = bus_->Connect();
  ASSERT_EQ(client->Publish("orders/large", std::string(10000, 'x')),
            PublishOutcome::kSent);
  ASSERT_EQ(client->Publish("orders/new", "small"), PublishOutcome::kSent);
  EXPECT_EQ(Stored(*map, 1).payload, "small");
  EXPECT_EQ(NextOnBus(*dead).payload.size(), 10000U);
  EXPECT_EQ(dead_letters_.counts("out orders/**").at("too-large-for-server"),
            1U);
  EXPECT_TRUE(Work(*map, [this] { return Lag() == 0; }));
}

TEST_F(LogOutTest, LogThatNobodyStoresIsAnError) {
  MapConfig config;
  config.kind = MapKind::kLogOut;
  config.durable = "nats-S";
  config.stream = "S";
  config.pattern = "loose/**";
  const auto map = LogOut::Open(around_, config, std::string(kInbox), options_);
  EXPECT_TRUE(absl::IsFailedPrecondition(map.status())) << map.status();
}

class LiveMapsTest : public MapTest {
 protected:
  std::unique_ptr<LiveOut> OpenOut() {
    MapConfig config;
    config.kind = MapKind::kLiveOut;
    config.name = "out svc/**";
    config.pattern = "svc/**";
    config.names.subject_prefix = "e1";
    auto map = LiveOut::Open(around_, config, std::string(kInbox), options_);
    EXPECT_TRUE(map.ok()) << map.status();
    return *std::move(map);
  }
  std::unique_ptr<LiveIn> OpenIn() {
    MapConfig config;
    config.kind = MapKind::kLiveIn;
    config.name = "in e2.svc.>";
    config.filter = "e2.svc.>";
    config.names.subject_prefix = "e2";
    auto map = LiveIn::Open(around_, config, options_);
    EXPECT_TRUE(map.ok()) << map.status();
    (*map)->OnConnected(1 << 20);
    return *std::move(map);
  }
  static NatsMessage Message(std::string subject, std::string payload) {
    NatsMessage message;
    message.subject = std::move(subject);
    message.payload = std::move(payload);
    return message;
  }

  const std::unique_ptr<Client> client_ = bus_->Connect();
};

TEST_F(LiveMapsTest, OutSendsWhileThereIsAConnectionAndCountsTheRest) {
  const auto map = OpenOut();
  ASSERT_EQ(client_->Publish("svc/a", "lost"), PublishOutcome::kSent);
  ASSERT_TRUE(Work(*map, [&] { return map->counters().dropped == 1; }));
  map->OnConnected(1 << 20);
  ASSERT_EQ(client_->Publish("svc/a", "1"), PublishOutcome::kSent);
  const NatsMessage sent = NextSent(*map);
  EXPECT_EQ(sent.subject, "e1.svc.a");
  EXPECT_EQ(sent.payload, "1");
  EXPECT_EQ(sent.header("Fifobus-Origin"), "edge1");
  MessageFields foreign;
  const HeaderView origin = {"fifobus-origin", "edge2"};
  foreign.topic = "svc/a";
  foreign.headers = {&origin, 1};
  ASSERT_EQ(client_->Publish(foreign), PublishOutcome::kSent);
  ASSERT_TRUE(Work(*map, [&] { return map->counters().returned == 1; }));
  EXPECT_TRUE(nats_.sent.empty());
  EXPECT_EQ(map->counters().passed, 1U);
}

TEST_F(LiveMapsTest, OutBringsTheFirstReplyBack) {
  const auto map = OpenOut();
  map->OnConnected(1 << 20);
  client_->set_mode(Mode::kNonBlocking);
  MessageFields request;
  request.topic = "svc/time";
  request.payload = "now?";
  const auto sent = client_->SendRequest(request, kHang);
  ASSERT_EQ(sent.outcome, PublishOutcome::kSent);
  const NatsMessage asked = NextSent(*map);
  EXPECT_EQ(asked.payload, "now?");
  // That nobody is there is no reply: another server may know somebody.
  NatsMessage nobody;
  nobody.headers = {{"Status", "503"}};
  map->OnNats(std::string_view(asked.reply).substr(kInbox.size() + 1), nobody);
  Answer(*map, asked, "noon");
  Answer(*map, asked, "a second one");
  client_->set_mode(Mode::kBlocking);
  const Received reply = client_->Receive(kHang);
  ASSERT_EQ(reply.outcome, ReceiveOutcome::kReply);
  EXPECT_EQ(reply.reply_outcome, ReplyOutcome::kAnswered);
  EXPECT_EQ(reply.message.payload, "noon");
}

TEST_F(LiveMapsTest, InPublishesAndBringsTheReplyBack) {
  const auto map = OpenIn();
  EXPECT_EQ(map->subject(), "e2.svc.>");
  const auto service = bus_->Subscribe("svc/**");
  map->OnNats("", Message("e2.svc.a", "1"));
  EXPECT_EQ(NextOnBus(*service).payload, "1");
  NatsMessage request = Message("e2.svc.time", "now?");
  request.reply = "_INBOX.far";
  map->OnNats("", std::move(request));
  const Received asked = service->Receive(kHang);
  ASSERT_EQ(asked.outcome, ReceiveOutcome::kMessage);
  EXPECT_EQ(asked.message.topic, "svc/time");
  EXPECT_EQ(service->Reply(asked, "noon"), PublishOutcome::kSent);
  const NatsMessage reply = NextSent(*map);
  EXPECT_EQ(reply.subject, "_INBOX.far");
  EXPECT_EQ(reply.payload, "noon");
  EXPECT_EQ(map->counters().passed, 2U);
}

TEST_F(LiveMapsTest, InTakesNeitherItsOwnNorWhatIsNoTopic) {
  const auto map = OpenIn();
  const auto dead = bus_->Subscribe("bridge/dead");
  NatsMessage own = Message("e2.svc.a", "1");
  own.headers = {{"Fifobus-Origin", "edge1"}};
  map->OnNats("", std::move(own));
  EXPECT_EQ(map->counters().returned, 1U);
  map->OnNats("", Message("e2.svc.no#topic", "2"));
  EXPECT_EQ(NextOnBus(*dead).payload, "2");
  EXPECT_EQ(map->counters().set_aside, 1U);
  EXPECT_EQ(map->counters().passed, 0U);
}

}  // namespace
}  // namespace fifobus::bridge
