// Groups over logs: what their members, as sessions, are told.

#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/support/reading_session_fixture.h"

namespace fifobus {
namespace {

class LogGroupSessionTest : public ReadingSessionTest {
 protected:
  ~LogGroupSessionTest() override {
    End(session_);
    for (const Other& other : others_) End(*other.session);
    host_.Advance(absl::ZeroDuration());
  }

  static pb::Subscribe Member(uint64_t id = 1) {
    pb::Subscribe subscribe = Durable("orders/**", "billing", id);
    subscribe.set_group("workers");
    subscribe.mutable_acks()->set_unacked_max(10);
    return subscribe;
  }
  static std::string AckOf(uint64_t ack_id) {
    std::string frame;
    AppendAckFrame(ack_id, AckVerdict::kDone, frame);
    return frame;
  }
  static std::string Leave(const pb::Subscribe& subscribe) {
    pb::Frame frame;
    frame.mutable_unsubscribe()->set_request_id(99);
    frame.mutable_unsubscribe()->set_pattern(subscribe.pattern());
    frame.mutable_unsubscribe()->set_group(subscribe.group());
    return ControlFrame(frame);
  }
  // The next frame, which the groups' host may have to bring.
  pb::Frame AwaitHosted() {
    tasks_.RunUntil([this] {
      host_.Advance(absl::ZeroDuration());
      return !sink_->written.empty();
    });
    return Answer();
  }
  std::shared_ptr<DurableReader> Reader() {
    return log_->readers().Find("billing");
  }
};

TEST_F(LogGroupSessionTest, MembersGetOffsetsAndAnswersMoveThePosition) {
  OpenLog();
  Store({{"orders/a", "1"}, {"orders/b", "2"}});
  Open();
  EXPECT_EQ(Feed(Bytes(Member(7))).outcome, FeedOutcome::kContinue);
  const pb::Frame subscribed = AwaitHosted();
  EXPECT_EQ(subscribed.subscribed().request_id(), 7u);
  EXPECT_EQ(subscribed.subscribed().log(), "orders");
  EXPECT_EQ(subscribed.subscribed().next_offset(), 1u);
  const pb::Delivery first = AwaitHosted().delivery();
  EXPECT_EQ(first.offset(), 1u);
  EXPECT_GT(first.stored_time_unix_nanos(), 0u);
  EXPECT_EQ(first.delivery_count(), 1u);
  EXPECT_NE(first.ack_id(), 0u);
  EXPECT_EQ(AwaitHosted().message().payload(), "1");
  EXPECT_EQ(AwaitHosted().delivery().offset(), 2u);
  EXPECT_EQ(AwaitHosted().message().payload(), "2");
  EXPECT_EQ(Reader()->position(), 1u);
  (void)Feed(AckOf(first.ack_id()));
  EXPECT_EQ(Reader()->position(), 2u);
  EXPECT_EQ(Reader()->group(), "workers");
  EXPECT_EQ(Reader()->sessions().size(), 1u);
}

TEST_F(LogGroupSessionTest, TheReaderIsInUseUntilAllIsAnswered) {
  OpenLog();
  Store({{"orders/a", "1"}});
  Open();
  (void)Feed(Bytes(Member()));
  (void)AwaitHosted();
  const uint64_t ack_id = AwaitHosted().delivery().ack_id();
  (void)AwaitHosted();
  (void)Feed(Leave(Member()));
  EXPECT_TRUE(AwaitHosted().has_unsubscribed());
  EXPECT_TRUE(Reader()->in_use());
  (void)Feed(AckOf(ack_id));
  EXPECT_EQ(Reader()->position(), 2u);
  EXPECT_FALSE(Reader()->in_use());
}

TEST_F(LogGroupSessionTest, WhatDoesNotFitTheReaderIsRefused) {
  OpenLog();
  Open();
  (void)Feed(Bytes(Member()));
  ASSERT_TRUE(AwaitHosted().has_subscribed());
  Other& other = Add(2);
  const auto refusal = [&](const pb::Subscribe& subscribe) {
    other.sink->written.clear();
    EXPECT_EQ(FeedTo(other, Bytes(subscribe)).outcome, FeedOutcome::kContinue);
    return AwaitFrames(other, 1)[0].error().code();
  };
  pb::Subscribe other_group = Member(2);
  other_group.set_group("others");
  EXPECT_EQ(refusal(other_group), pb::Error::CODE_BAD_DURABLE);
  pb::Subscribe other_pattern = Member(3);
  other_pattern.set_pattern("orders/a");
  EXPECT_EQ(refusal(other_pattern), pb::Error::CODE_BAD_DURABLE);
  pb::Subscribe other_acks = Member(4);
  other_acks.mutable_acks()->set_unacked_max(11);
  EXPECT_EQ(refusal(other_acks), pb::Error::CODE_BAD_DURABLE);
  pb::Subscribe no_acks = Member(5);
  no_acks.clear_acks();
  EXPECT_EQ(refusal(no_acks), pb::Error::CODE_BAD_DURABLE);
  EXPECT_EQ(refusal(Durable("orders/**", "billing", 6)),
            pb::Error::CODE_BAD_DURABLE);
  pb::Subscribe not_durable = Member(7);
  not_durable.clear_durable();
  EXPECT_EQ(refusal(not_durable), pb::Error::CODE_BAD_DURABLE);
  pb::Subscribe bad_name = Member(8);
  bad_name.set_group("a/b");
  EXPECT_EQ(refusal(bad_name), pb::Error::CODE_BAD_GROUP);
  EXPECT_EQ(Reader()->sessions().size(), 1u);
}

TEST_F(LogGroupSessionTest, MembersShareAndADeadOnesMessagesGoToAnother) {
  OpenLog();
  Open();
  (void)Feed(Bytes(Member()));
  ASSERT_TRUE(AwaitHosted().has_subscribed());
  Other& other = Add(2);
  (void)FeedTo(other, Bytes(Member()));
  ASSERT_TRUE(AwaitFrames(other, 1)[0].has_subscribed());
  Store({{"orders/a", "1"}, {"orders/a", "2"}});
  tasks_.RunUntil([&] {
    host_.Advance(absl::ZeroDuration());
    return !sink_->written.empty() && AwaitFrames(other, 1).size() == 3;
  });
  other.sink->written.clear();
  const uint64_t offset = Answer().delivery().offset();
  End(session_);
  const std::vector<pb::Frame> again = AwaitFrames(other, 2);
  EXPECT_EQ(again[0].delivery().offset(), offset);
  EXPECT_EQ(again[0].delivery().delivery_count(), 2u);
  EXPECT_EQ(Reader()->sessions(), std::vector<uint64_t>{2});
}

}  // namespace
}  // namespace fifobus
