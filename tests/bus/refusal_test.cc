// What broken and hostile clients send, through real pipes: that client is
// closed with a reason, and nobody else notices.
#include <fcntl.h>
#include <sys/stat.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "broker/io/fifo.h"
#include "gtest/gtest.h"
#include "proto/frame_writer.h"
#include "tests/support/bus_support.h"

namespace fifobus {
namespace {

std::string Framed(const std::string& body) {
  std::string frame = {0, 0, 0, static_cast<char>(body.size())};
  return frame + body;
}

std::string Message(std::string_view topic, std::string_view payload) {
  MessageFields fields;
  fields.topic = topic;
  fields.payload = payload;
  std::string frame;
  AppendMessageFrame(fields, frame);
  return frame;
}

class RefusalTest : public testing::Test {
 protected:
  // The witnesses must go on as if nothing had happened.
  void ExpectOthersUnharmed() {
    ASSERT_EQ(publisher_->Publish("witness", "still here"),
              PublishOutcome::kSent);
    EXPECT_EQ(ReceivePayloads(*subscriber_, 1),
              std::vector<std::string>{"still here"});
  }

  void ExpectClosed(const std::string& bytes, pb::Error::Code code) {
    RawSession session(bus_.dir());
    session.Greet();
    session.Write(bytes);
    const pb::Frame answer = session.Next();
    EXPECT_EQ(answer.error().code(), code) << answer.ShortDebugString();
    EXPECT_TRUE(session.AtEnd());
    ExpectOthersUnharmed();
  }

  TestBus bus_;
  std::unique_ptr<Client> publisher_ = bus_.Connect();
  std::unique_ptr<Client> subscriber_ = bus_.Subscribe("witness");
};

TEST_F(RefusalTest, Garbage) {
  ExpectClosed("GET / HTTP/1.1\r\n\r\n", pb::Error::CODE_FRAME_TOO_LARGE);
  ExpectClosed(Framed("garbage!"), pb::Error::CODE_BAD_FRAME);
}

TEST_F(RefusalTest, ALengthOfFourGigabytes) {
  ExpectClosed("\xff\xff\xff\xff", pb::Error::CODE_FRAME_TOO_LARGE);
}

TEST_F(RefusalTest, OneByteMoreThan16Megabytes) {
  ExpectClosed(std::string("\x01\x00\x00\x01", 4),
               pb::Error::CODE_FRAME_TOO_LARGE);
}

TEST_F(RefusalTest, ARepeatedTopic) {
  ExpectClosed(Framed(std::string("\x0a\x06\x0a\x01"
                                  "a\x0a\x01"
                                  "b")),
               pb::Error::CODE_BAD_FRAME);
}

TEST_F(RefusalTest, TwoMembers) {
  ExpectClosed(Framed(std::string("\x62\x00\x62\x00", 4)),
               pb::Error::CODE_BAD_FRAME);
}

TEST_F(RefusalTest, AReservedTopic) {
  ExpectClosed(Message("$sys/load", "x"), pb::Error::CODE_BAD_TOPIC);
}

TEST_F(RefusalTest, AnInvalidTopic) {
  ExpectClosed(Message("a//b", "x"), pb::Error::CODE_BAD_TOPIC);
}

TEST_F(RefusalTest, FramesBeforeTheBadOneAreDelivered) {
  RawSession session(bus_.dir());
  session.Greet();
  session.Write(Message("witness", "good") + Framed("garbage!"));
  EXPECT_TRUE(session.Next().has_error());
  EXPECT_EQ(ReceivePayloads(*subscriber_, 1), std::vector<std::string>{"good"});
}

TEST_F(RefusalTest, AFrameThatIsTornByDeathIsNotDelivered) {
  {
    RawSession session(bus_.dir());
    session.Greet();
    session.Write(Message("witness", "whole"));
    session.Write(Message("witness", "never whole").substr(0, 15));
  }
  EXPECT_EQ(ReceivePayloads(*subscriber_, 1),
            std::vector<std::string>{"whole"});
  EXPECT_TRUE(WaitUntil([&] { return bus_.Count("frames_torn") == 1; }));
  ExpectOthersUnharmed();
}

TEST_F(RefusalTest, AClientThatClosesDownStillHasItsBytesPublished) {
  RawSession session(bus_.dir());
  session.Greet();
  session.Write(Message("witness", "before"));
  session.CloseDown();
  EXPECT_EQ(ReceivePayloads(*subscriber_, 1),
            std::vector<std::string>{"before"});
  // It still holds `up`, but is a client no more.
  EXPECT_TRUE(WaitUntil([&] { return bus_.Count("sessions_closed") == 1; }));
}

TEST_F(RefusalTest, TooManyHalfReceivedBytesCloseTheOneThatExceeds) {
  BrokerOptions options;
  options.half_received_bytes_max = 100'000;
  options.workers = 1;
  const TestBus bus(options);
  RawSession patient(bus.dir());
  patient.Greet();
  const std::string frame = Message("a", std::string(200'000, 'x'));
  patient.Write(frame.substr(0, 60'000));
  ASSERT_TRUE(WaitUntil([&] { return UnreadBytes(patient.up()) == 0; }));
  ASSERT_TRUE(bus.Connect()->Ping(kHang).ok()) << "its worker got on";
  RawSession greedy(bus.dir());
  greedy.Greet();
  greedy.Write(frame.substr(0, 60'000));
  EXPECT_EQ(greedy.Next().error().code(), pb::Error::CODE_LIMIT);
  EXPECT_TRUE(greedy.AtEnd());
}

TEST_F(RefusalTest, ForeignThingsInSessionsAreRefusedOrIgnored) {
  const std::string sessions = bus_.dir() + "/sessions/";
  MakeFifo(sessions + "target");
  ASSERT_EQ(symlink("target", (sessions + "evil.down").c_str()), 0);
  ASSERT_EQ(symlink("target", (sessions + "evil.up").c_str()), 0);
  ASSERT_TRUE(WaitUntil([&] { return bus_.Count("names_refused") == 1; }));
  // A regular file in place of a pipe.
  ASSERT_GE(open((sessions + "file.down").c_str(), O_CREAT | O_WRONLY, 0600),
            0);
  MakeFifo(sessions + ".file.up");
  ASSERT_EQ(
      rename((sessions + ".file.up").c_str(), (sessions + "file.up").c_str()),
      0);
  ASSERT_TRUE(WaitUntil([&] { return bus_.Count("names_refused") == 2; }));
  ExpectOthersUnharmed();
}

TEST_F(RefusalTest, APairWhoseClientIsDeadIsRemoved) {
  const std::string sessions = bus_.dir() + "/sessions/";
  MakeFifo(sessions + "dead.down");
  MakeFifo(sessions + ".dead.up");
  ASSERT_EQ(
      rename((sessions + ".dead.up").c_str(), (sessions + "dead.up").c_str()),
      0);
  struct stat status;
  EXPECT_TRUE(WaitUntil([&] {
    return stat((sessions + "dead.down").c_str(), &status) != 0 &&
           stat((sessions + "dead.up").c_str(), &status) != 0;
  }));
  ExpectOthersUnharmed();
}

TEST_F(RefusalTest, PacketModeHarmsOnlyWhoTurnsItOn) {
  RawSession session(bus_.dir());
  session.Greet();
  ASSERT_EQ(fcntl(session.up(), F_SETFL, O_DIRECT | O_NONBLOCK), 0);
  for (int i = 0; i < 10; ++i) session.Write(Message("witness", "packet"));
  EXPECT_EQ(ReceivePayloads(*subscriber_, 10).size(), 10u);
  ExpectOthersUnharmed();
}

}  // namespace
}  // namespace fifobus
