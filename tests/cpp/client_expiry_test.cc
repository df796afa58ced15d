// Messages that expire after the broker has delivered them, while they wait in
// the subscriber's pipe or buffer.

#include <memory>
#include <string>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "clients/cpp/client.h"
#include "gtest/gtest.h"
#include "proto/frame.pb.h"
#include "tests/support/bus_support.h"

namespace fifobus {
namespace {

// Long enough for a message to reach the pipe on a busy machine. If it does not
// the broker announces the loss, in the same words.
constexpr absl::Duration kLife = absl::Milliseconds(300);

class Expiry : public testing::Test {
 protected:
  // A message that lives for kLife from now on.
  static MessageFields Mortal(std::string_view topic,
                              std::string_view payload) {
    MessageFields fields;
    fields.topic = topic;
    fields.payload = payload;
    fields.expiry_unix_nanos =
        static_cast<uint64_t>(absl::ToUnixNanos(absl::Now() + kLife));
    return fields;
  }

  void Publish(const MessageFields& fields) {
    ASSERT_EQ(publisher_->Publish(fields), PublishOutcome::kSent);
    last_expiry_ = std::max(last_expiry_, fields.expiry_unix_nanos);
  }

  // When this returns all that was published is in the pipe, and what can
  // expire has.
  void Outlive() {
    ASSERT_TRUE(publisher_->Ping(kHang).ok());
    ASSERT_TRUE(WaitUntil([&] {
      return static_cast<uint64_t>(absl::GetCurrentTimeNanos()) >= last_expiry_;
    }));
  }

  const TestBus bus_;
  const std::unique_ptr<Client> publisher_ = bus_.Connect();

 private:
  uint64_t last_expiry_ = 0;
};

TEST_F(Expiry, IsAGapInThePlaceOfTheMessages) {
  const auto client = bus_.Subscribe("*");
  Publish(Mortal("a", "1"));
  Publish(Mortal("a", "2"));
  Publish(Mortal("b", "3"));
  ASSERT_EQ(publisher_->Publish("a", "lives"), PublishOutcome::kSent);
  Publish(Mortal("b", "4"));
  ASSERT_EQ(publisher_->Publish("a", "on"), PublishOutcome::kSent);
  Outlive();
  Received got = client->Receive(kHang);
  ASSERT_EQ(got.outcome, ReceiveOutcome::kGap);
  EXPECT_EQ(got.gap.reason, GapReason::kExpired);
  EXPECT_EQ(got.gap.messages, 3u);
  ASSERT_EQ(got.gap.losses.size(), 2u);
  EXPECT_EQ(got.gap.losses[0].topic, "a");
  EXPECT_EQ(got.gap.losses[0].messages, 2u);
  EXPECT_EQ(got.gap.losses[1].topic, "b");
  EXPECT_EQ(got.gap.losses[1].messages, 1u);
  EXPECT_EQ(client->Receive(kHang).message.payload, "lives");
  got = client->Receive(kHang);
  ASSERT_EQ(got.outcome, ReceiveOutcome::kGap);
  EXPECT_EQ(got.gap.messages, 1u);
  EXPECT_EQ(client->Receive(kHang).message.payload, "on");
  EXPECT_EQ(client->expired_messages(), 4u);
}

TEST_F(Expiry, OfWhatWasReadAheadIsAGapToo) {
  const auto client = bus_.Subscribe("a");
  Publish(Mortal("a", "1"));
  ASSERT_TRUE(publisher_->Ping(kHang).ok());
  ASSERT_TRUE(client->Ping(kHang).ok());  // reads past it
  Outlive();
  const Received got = client->Receive(kHang);
  ASSERT_EQ(got.outcome, ReceiveOutcome::kGap);
  EXPECT_EQ(got.gap.reason, GapReason::kExpired);
  EXPECT_EQ(got.gap.messages, 1u);
}

TEST_F(Expiry, InTimeIsNoGap) {
  const auto client = bus_.Subscribe("a");
  MessageFields fields = Mortal("a", "1");
  fields.expiry_unix_nanos =
      static_cast<uint64_t>(absl::ToUnixNanos(absl::Now() + kHang));
  Publish(fields);
  EXPECT_EQ(client->Receive(kHang).message.payload, "1");
  EXPECT_EQ(client->expired_messages(), 0u);
}

TEST_F(Expiry, InAnAcknowledgingGroupIsAnswered) {
  const auto member = bus_.Connect();
  SubscribeOptions options;
  options.group = "g";
  options.acks.emplace();
  options.acks->unacked_max = 10;
  ASSERT_TRUE(member->Subscribe("a", options, kHang).ok());
  for (int i = 0; i < 3; ++i) Publish(Mortal("a", "x"));
  ASSERT_EQ(publisher_->Publish("a", "lives"), PublishOutcome::kSent);
  Outlive();
  uint64_t expired = 0;
  Received got = member->Receive(kHang);
  for (; got.outcome == ReceiveOutcome::kGap; got = member->Receive(kHang)) {
    EXPECT_EQ(got.gap.reason, GapReason::kExpired);
    expired += got.gap.messages;
  }
  EXPECT_EQ(expired, 3u);
  ASSERT_EQ(got.message.payload, "lives");
  member->Ack(got.delivery.ack_id);
  EXPECT_TRUE(WaitUntil(
      [&] { return bus_.broker().CollectStats().groups(0).unacked() == 0; }));
}

TEST_F(Expiry, OfAReplyLeavesTheRequestWithoutOne) {
  const auto responder = bus_.Subscribe("r");
  const auto client = bus_.Subscribe("a");
  MessageFields request;
  request.topic = "r";
  const auto sent = client->SendRequest(request, absl::InfiniteDuration());
  const Received got = responder->Receive(kHang);
  ASSERT_EQ(got.outcome, ReceiveOutcome::kMessage);
  MessageFields reply = Mortal("", "too old");
  ASSERT_EQ(responder->Reply(got, reply), PublishOutcome::kSent);
  ASSERT_TRUE(responder->Ping(kHang).ok());
  Publish(Mortal("a", "marks the time"));
  Outlive();
  ASSERT_EQ(client->Receive(kHang).outcome, ReceiveOutcome::kGap);
  client->set_mode(Mode::kNonBlocking);
  EXPECT_EQ(client->Receive().outcome, ReceiveOutcome::kWouldBlock);
  EXPECT_NE(sent.request_id, 0u);
}

}  // namespace
}  // namespace fifobus
