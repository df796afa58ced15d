// What the broker itself publishes, over real FIFOs: wills, $sys/clients,
// $sys/stats.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>

#include "fmt/format.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "proto/frame_writer.h"
#include "proto/version.h"
#include "tests/support/bus_support.h"

namespace fifobus {
namespace {

using Json = nlohmann::json;

std::string Frame(const pb::Frame& frame) {
  std::string bytes;
  AppendFrame(frame, bytes);
  return bytes;
}

std::string MessageFrame(std::string_view topic, std::string_view payload) {
  MessageFields fields;
  fields.topic = topic;
  fields.payload = payload;
  std::string frame;
  AppendMessageFrame(fields, frame);
  return frame;
}

std::string HelloWithWill(const std::string& topic,
                          const std::string& payload) {
  pb::Frame frame;
  frame.mutable_hello()->set_protocol_version(kProtocolVersion);
  frame.mutable_hello()->set_client_name("mortal");
  frame.mutable_hello()->mutable_will()->set_topic(topic);
  frame.mutable_hello()->mutable_will()->set_payload(payload);
  return Frame(frame);
}

std::string GoodbyeFrame() {
  pb::Frame frame;
  frame.mutable_goodbye();
  return Frame(frame);
}

class PresenceTest : public testing::Test {
 protected:
  std::unique_ptr<RawSession> Greeted(const std::string& hello) {
    auto session = std::make_unique<RawSession>(bus_.dir());
    session->Write(hello);
    EXPECT_TRUE(session->Next().has_welcome());
    session->CloseUpReader();
    return session;
  }

  // The session that watches; others are number 2 and so on.
  void Watch(std::string_view pattern) {
    watcher_ = Greeted(HelloFrame());
    watcher_->Write(SubscribeFrame(pattern));
    ASSERT_TRUE(watcher_->Next().has_subscribed());
  }

  std::string NextLine() {
    const pb::Message message = watcher_->Next().message();
    return message.topic() + "=" + message.payload();
  }

  BrokerOptions options_;
  TestBus bus_;
  std::unique_ptr<RawSession> watcher_;
};

TEST_F(PresenceTest, AWillIsTheLastMessageOfWhoHangsUp) {
  Watch("**");
  for (int i = 0; i < 50; ++i) {
    auto mortal = Greeted(HelloWithWill("status", "gone"));
    std::string frames;
    for (int k = 0; k < 100; ++k) frames += MessageFrame("work", "x");
    // Its last frame is cut: it was never published.
    mortal->Write(frames + frames.substr(0, 5));
    mortal.reset();
    for (int k = 0; k < 100; ++k) ASSERT_EQ(NextLine(), "work=x");
    ASSERT_EQ(NextLine(), "status=gone");
  }
  EXPECT_EQ(bus_.Count("wills_published"), 50u);
}

TEST_F(PresenceTest, WhoSaysGoodbyeLeavesNoWill) {
  Watch("**");
  auto polite = Greeted(HelloWithWill("status", "gone"));
  polite->Write(MessageFrame("work", "x") + GoodbyeFrame());
  polite.reset();
  ASSERT_TRUE(WaitUntil([&] { return bus_.Count("sessions_closed") == 1; }));
  watcher_->Write(MessageFrame("mine", "y"));
  EXPECT_EQ(NextLine(), "work=x");
  EXPECT_EQ(NextLine(), "mine=y");
  EXPECT_EQ(bus_.Count("wills_published"), 0u);
}

TEST_F(PresenceTest, ARefusedFramePublishesTheWillBehindWhatWasGood) {
  Watch("**");
  auto mortal = Greeted(HelloWithWill("status", "gone"));
  mortal->Write(MessageFrame("work", "x") + std::string("\0\0\0\4junk", 8));
  EXPECT_EQ(NextLine(), "work=x");
  EXPECT_EQ(NextLine(), "status=gone");
}

TEST_F(PresenceTest, WhoStopsReadingAndThenDiesLeavesItsWill) {
  Watch("**");
  auto mortal = Greeted(HelloWithWill("status", "gone"));
  mortal->Write(MessageFrame("work", "1"));
  mortal->CloseDown();
  EXPECT_EQ(NextLine(), "work=1");
  mortal.reset();
  EXPECT_EQ(NextLine(), "status=gone");
}

TEST_F(PresenceTest, AStoppingBrokerPublishesNoWill) {
  Watch("**");
  const auto mortal = Greeted(HelloWithWill("status", "gone"));
  bus_.Stop();
  EXPECT_TRUE(watcher_->Next().has_goodbye());
  EXPECT_TRUE(watcher_->AtEnd());
}

TEST_F(PresenceTest, ConnectAndDisconnectAreEvents) {
  Watch("$sys/clients/*/*");
  auto client = Greeted(HelloWithWill("status", "gone"));
  pb::Message message = watcher_->Next().message();
  EXPECT_EQ(message.topic(), "$sys/clients/2/connected");
  EXPECT_EQ(message.content_type(), "application/json");
  Json json = Json::parse(message.payload());
  EXPECT_EQ(json["number"], 2);
  EXPECT_EQ(json["client_name"], "mortal");
  EXPECT_EQ(json["uid"], getuid());
  EXPECT_EQ(json["time"].get<std::string>().size(), 30u);
  EXPECT_FALSE(json.contains("reason"));

  client.reset();
  message = watcher_->Next().message();
  EXPECT_EQ(message.topic(), "$sys/clients/2/disconnected");
  EXPECT_EQ(Json::parse(message.payload())["reason"], "hang-up");

  client = Greeted(HelloFrame());
  EXPECT_EQ(watcher_->Next().message().topic(), "$sys/clients/3/connected");
  client->Write(GoodbyeFrame());
  client.reset();
  message = watcher_->Next().message();
  EXPECT_EQ(Json::parse(message.payload())["reason"], "goodbye");

  client = Greeted(HelloFrame());
  EXPECT_EQ(watcher_->Next().message().topic(), "$sys/clients/4/connected");
  client->Write("\xff\xff\xff\xff");
  message = watcher_->Next().message();
  EXPECT_EQ(message.topic(), "$sys/clients/4/disconnected");
  EXPECT_NE(message.payload().find("larger than this bus takes"),
            std::string::npos);
}

TEST_F(PresenceTest, EventsLeaveNoTraceInTheListing) {
  Watch("$sys/clients/**");
  Greeted(HelloFrame()).reset();
  EXPECT_TRUE(watcher_->Next().has_message());
  EXPECT_TRUE(watcher_->Next().has_message());
  EXPECT_EQ(bus_.broker().CollectStats().topics_size(), 0);
  EXPECT_EQ(bus_.Count("messages_published"), 0u);
}

TEST_F(PresenceTest, StatsComeAtOnceToEachWhoSubscribes) {
  // The regular ones are too far apart to be taken for these.
  options_.sys_stats_interval = kHang * 2;
  const TestBus bus(options_);
  for (int i = 1; i <= 3; ++i) {
    RawSession session(bus.dir());
    session.Greet();
    session.Write(SubscribeFrame("$sys/stats"));
    pb::Frame frame = session.Next();
    EXPECT_TRUE(frame.has_subscribed());
    frame = session.Next();
    EXPECT_EQ(frame.message().topic(), "$sys/stats");
    EXPECT_EQ(Json::parse(frame.message().payload())["sessions_opened"], i);
  }
}

TEST_F(PresenceTest, StatsComeRegularlyAndAlsoToTaps) {
  options_.sys_stats_interval = absl::Milliseconds(5);
  const TestBus bus(options_);
  const std::string out = bus.dir() + "/topics/$sys/stats.out";
  std::filesystem::create_directories(out);
  MakeFifo(out + "/me");
  const UniqueFd tap(open((out + "/me").c_str(), O_RDONLY));
  std::string text;
  ASSERT_TRUE(WaitUntil([&] {
    text += ReadBytes(tap.get(), 100);
    return std::count(text.begin(), text.end(), '\n') >= 3;
  }));
  EXPECT_TRUE(
      Json::parse(text.substr(0, text.find('\n'))).contains("sessions_opened"));
}

}  // namespace
}  // namespace fifobus
