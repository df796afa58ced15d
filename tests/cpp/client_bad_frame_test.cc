// What a client does when a broker sends what no broker sends.

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "clients/cpp/client.h"
#include "gtest/gtest.h"
#include "tests/support/scripted_broker.h"

namespace fifobus {
namespace {

class ClientBadFrameTest : public ScriptedBrokerTest {
 protected:
  ClientBadFrameTest() { Use({}); }

  // The message before is received, and then the client is done for good.
  void ExpectEnd(std::string_view bad) {
    Session session = Accept();
    pb::Frame good;
    good.mutable_message()->set_topic("good");
    Write(session, good);
    ASSERT_TRUE(session.Write(bad).ok());
    EXPECT_EQ(Next().message.topic, "good");
    EXPECT_EQ(Next().outcome, ReceiveOutcome::kDisconnected);
    EXPECT_TRUE(absl::IsDataLoss(client_->status())) << client_->status();
  }
};

TEST_F(ClientBadFrameTest, AnEmptyFrameEndsIt) { ExpectEnd({"\0\0\0\0", 4}); }

TEST_F(ClientBadFrameTest, AMessageThatCannotBeReadIsNotHandedOut) {
  // A payload whose length leads beyond the end.
  ExpectEnd(
      {"\0\0\0\x07\x0a\x05\x0a\x01"
       "a\x7a\x09",
       11});
}

TEST_F(ClientBadFrameTest, AMessageWithoutATopicIsNotHandedOut) {
  ExpectEnd({"\0\0\0\x05\x0a\x03\x7a\x01p", 9});
}

}  // namespace
}  // namespace fifobus
