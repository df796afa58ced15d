// What a client does that reads a log: its frames, what it tells the broker, and
// where it goes on in another session, with a broker that plays each step.

#include <cstdint>
#include <string>
#include <thread>

#include "absl/time/time.h"
#include "clients/cpp/client.h"
#include "gtest/gtest.h"
#include "proto/frame.pb.h"
#include "tests/support/scripted_broker.h"

namespace fifobus {
namespace {

SubscribeOptions Reading(Start start) {
  SubscribeOptions options;
  options.start = start;
  return options;
}

SubscribeOptions Durable(const std::string& name) {
  SubscribeOptions options;
  options.durable = name;
  return options;
}

class ClientReadingTest : public ScriptedBrokerTest {
 protected:
  ClientReadingTest() { Use({}); }

  // Asks, and has the broker agree.
  pb::Subscribe Subscribe(Session& session, const std::string& pattern,
                          const SubscribeOptions& options,
                          uint64_t next_offset) {
    const absl::Status asked =
        client_->Subscribe(pattern, options, absl::ZeroDuration());
    EXPECT_TRUE(absl::IsDeadlineExceeded(asked)) << asked;
    return AnswerSubscribe(session, next_offset);
  }

  pb::Subscribe AnswerSubscribe(Session& session, uint64_t next_offset) {
    const auto frame = session.Read(&pb::Frame::has_subscribe, "Subscribe");
    EXPECT_TRUE(frame.ok()) << frame.status();
    if (!frame.ok()) return {};
    pb::Frame answer;
    pb::Subscribed& subscribed = *answer.mutable_subscribed();
    subscribed.set_request_id(frame->subscribe().request_id());
    subscribed.set_log("all");
    subscribed.set_next_offset(next_offset);
    Write(session, answer);
    return frame->subscribe();
  }

  static void WriteStored(Session& session, const std::string& topic,
                          uint64_t offset, uint64_t ack_id = 0) {
    pb::Frame delivery;
    delivery.mutable_delivery()->set_offset(offset);
    delivery.mutable_delivery()->set_stored_time_unix_nanos(1000 + offset);
    delivery.mutable_delivery()->set_ack_id(ack_id);
    Write(session, delivery);
    pb::Frame message;
    message.mutable_message()->set_topic(topic);
    message.mutable_message()->set_payload(std::to_string(offset));
    Write(session, message);
  }

  static void WriteCaughtUp(Session& session, const pb::Subscribe& subscribe,
                            uint64_t next_offset) {
    pb::Frame frame;
    frame.mutable_caught_up()->set_request_id(subscribe.request_id());
    frame.mutable_caught_up()->set_next_offset(next_offset);
    Write(session, frame);
  }

  void ExpectMessage(uint64_t offset) {
    const Received got = Next();
    ASSERT_EQ(got.outcome, ReceiveOutcome::kMessage);
    EXPECT_EQ(got.message.payload, std::to_string(offset));
    EXPECT_EQ(got.delivery.offset, offset);
    EXPECT_EQ(got.delivery.stored_time_unix_nanos, 1000 + offset);
  }

  static void ExpectAck(Session& session, const pb::Subscribe& subscribe,
                        uint64_t up_to_offset) {
    const auto frame = session.Read(&pb::Frame::has_ack, "Ack");
    ASSERT_TRUE(frame.ok()) << frame.status();
    EXPECT_EQ(frame->ack().subscription(), subscribe.request_id());
    EXPECT_EQ(frame->ack().up_to_offset(), up_to_offset);
  }

  void ExpectNothing() {
    EXPECT_EQ(client_->Receive().outcome, ReceiveOutcome::kWouldBlock);
  }
};

TEST_F(ClientReadingTest, EachStartHasItsField) {
  Session session = Accept();
  const auto start = [&](const std::string& pattern, Start from) {
    return Subscribe(session, pattern, Reading(from), 1).start();
  };
  EXPECT_TRUE(start("first", Start::First()).first());
  EXPECT_EQ(start("offset", Start::Offset(7)).offset(), 7U);
  EXPECT_EQ(start("last", Start::Last(10)).last(), 10U);
  EXPECT_EQ(
      start("time", Start::Time(absl::FromUnixSeconds(2))).time_unix_nanos(),
      2'000'000'000U);
  EXPECT_TRUE(start("next", Start::Next()).next());
  EXPECT_EQ(Start::Time(absl::InfinitePast()).number(), 0U);
  SubscribeOptions until_now = Reading(Start::First());
  until_now.until_now = true;
  EXPECT_TRUE(Subscribe(session, "now", until_now, 1).until_now());
  const pb::Subscribe durable = Subscribe(session, "mine", Durable("d"), 1);
  EXPECT_EQ(durable.durable(), "d");
  EXPECT_FALSE(durable.has_start());
}

TEST_F(ClientReadingTest, OptionsThatDoNotGoTogetherAreRefused) {
  Session session = Accept();
  const auto status = [&](const SubscribeOptions& options) {
    return client_->Subscribe("a", options, absl::ZeroDuration()).code();
  };
  SubscribeOptions options;
  options.until_now = true;
  EXPECT_EQ(status(options), absl::StatusCode::kInvalidArgument);
  options = Durable("d");
  options.start = Start::First();
  options.until_now = true;
  EXPECT_EQ(status(options), absl::StatusCode::kInvalidArgument);
  options = Durable("two/levels");
  EXPECT_EQ(status(options), absl::StatusCode::kInvalidArgument);
  options = Durable("d");
  options.group = "g";
  EXPECT_EQ(status(options), absl::StatusCode::kInvalidArgument);
  options = Reading(Start::First());
  options.group = "g";
  options.acks.emplace();
  EXPECT_EQ(status(options), absl::StatusCode::kInvalidArgument);
}

TEST_F(ClientReadingTest, ASecondReaderOfTheSameTopicsIsRefused) {
  Session session = Accept();
  (void)Subscribe(session, "a/*", Reading(Start::First()), 1);
  const absl::Status overlap =
      client_->Subscribe("a/b", Durable("d"), absl::ZeroDuration());
  EXPECT_TRUE(absl::IsFailedPrecondition(overlap)) << overlap;
  // A plain subscription, and a group, are told apart.
  SubscribeOptions group = Durable("d");
  group.group = "g";
  group.acks.emplace();
  (void)Subscribe(session, "a/b", group, 1);
  EXPECT_TRUE(absl::IsDeadlineExceeded(
      client_->Subscribe("a/**", absl::ZeroDuration())));
}

TEST_F(ClientReadingTest, MessagesTellWhereTheyAre) {
  Session session = Accept();
  const pb::Subscribe reader =
      Subscribe(session, "a", Reading(Start::Offset(5)), 5);
  WriteStored(session, "a", 5);
  WriteCaughtUp(session, reader, 6);
  WriteStored(session, "a", 6);
  ExpectMessage(5);
  ASSERT_TRUE(client_->read_position("a").has_value());
  EXPECT_EQ(client_->read_position("a")->log, "all");
  EXPECT_EQ(client_->read_position("a")->next_offset, 6U);
  EXPECT_FALSE(client_->read_position("b").has_value());
  const Received got = Next();
  ASSERT_EQ(got.outcome, ReceiveOutcome::kCaughtUp);
  EXPECT_EQ(got.caught_up.pattern, "a");
  EXPECT_EQ(got.caught_up.next_offset, 6U);
  ExpectMessage(6);
  ExpectNothing();
  EXPECT_TRUE(session.ExpectSilence(absl::Milliseconds(20)).ok())
      << "it is not durable, and so has no position";
}

TEST_F(ClientReadingTest, CaughtUpEndsASubscriptionUntilNow) {
  Session session = Accept();
  SubscribeOptions options = Reading(Start::First());
  options.until_now = true;
  const pb::Subscribe reader = Subscribe(session, "a", options, 1);
  WriteCaughtUp(session, reader, 1);
  EXPECT_EQ(Next().outcome, ReceiveOutcome::kCaughtUp);
  EXPECT_TRUE(absl::IsNotFound(client_->Unsubscribe("a")));
  End(session);
  Session next = Accept();
  EXPECT_TRUE(next.ExpectSilence(absl::Milliseconds(20)).ok());
  ExpectNothing();
}

TEST_F(ClientReadingTest, GapsOfALogHaveTheirReasons) {
  Session session = Accept();
  (void)Subscribe(session, "a", Reading(Start::First()), 1);
  for (const auto reason : {pb::Gap::REASON_TRIMMED, pb::Gap::REASON_DAMAGED}) {
    pb::Frame gap;
    gap.mutable_gap()->set_reason(reason);
    gap.mutable_gap()->set_messages(3);
    Write(session, gap);
  }
  const Received trimmed = Next();
  EXPECT_EQ(trimmed.gap.reason, GapReason::kTrimmed);
  EXPECT_EQ(trimmed.gap.messages, 3U);
  EXPECT_EQ(GapReasonText(trimmed.gap.reason), "trimmed");
  EXPECT_EQ(GapReasonText(Next().gap.reason), "damaged");
}

TEST_F(ClientReadingTest, TheNextReceiveIsTheAckOfAllBefore) {
  Session session = Accept();
  const pb::Subscribe reader = Subscribe(session, "a", Durable("d"), 1);
  for (uint64_t offset = 1; offset <= 3; ++offset) {
    WriteStored(session, "a", offset);
  }
  for (uint64_t offset = 1; offset <= 3; ++offset) ExpectMessage(offset);
  EXPECT_TRUE(session.ExpectSilence(absl::Milliseconds(20)).ok())
      << "there was no need to wait yet, and 3 is not done";
  ExpectNothing();
  ExpectAck(session, reader, 3);
  ExpectNothing();
  EXPECT_TRUE(session.ExpectSilence(absl::Milliseconds(20)).ok());
}

TEST_F(ClientReadingTest, TheLastMessageIsNotDoneAtTheEnd) {
  Session session = Accept();
  const pb::Subscribe reader = Subscribe(session, "a", Durable("d"), 1);
  for (uint64_t offset = 1; offset <= 3; ++offset) {
    WriteStored(session, "a", offset);
  }
  for (uint64_t offset = 1; offset <= 3; ++offset) ExpectMessage(offset);
  // It waits until the broker knows.
  std::thread leaving([&] { client_.reset(); });
  ExpectAck(session, reader, 2);
  EXPECT_TRUE(session.Read(&pb::Frame::has_goodbye, "Goodbye").ok());
  leaving.join();
  EXPECT_NE(session.last_ping().token(), 0U);
}

TEST_F(ClientReadingTest, UnsubscribeAcknowledgesFirst) {
  Session session = Accept();
  const pb::Subscribe reader = Subscribe(session, "a", Durable("d"), 1);
  WriteStored(session, "a", 1);
  WriteStored(session, "a", 2);
  ExpectMessage(1);
  ExpectMessage(2);
  (void)client_->Unsubscribe("a", absl::ZeroDuration());
  ExpectAck(session, reader, 1);
  EXPECT_TRUE(session.Read(&pb::Frame::has_unsubscribe, "Unsubscribe").ok());
}

TEST_F(ClientReadingTest, WithoutAutoAckOnlyDoneMovesThePosition) {
  Session session = Accept();
  SubscribeOptions options = Durable("d");
  options.auto_ack = false;
  const pb::Subscribe reader = Subscribe(session, "a", options, 1);
  WriteStored(session, "a", 1);
  WriteStored(session, "a", 2);
  ExpectMessage(1);
  const Received got = Next();
  ExpectNothing();
  EXPECT_TRUE(session.ExpectSilence(absl::Milliseconds(20)).ok());
  client_->Done(got);  // its views are not valid any more
  ExpectAck(session, reader, 2);
}

TEST_F(ClientReadingTest, DoneOfAGroupsMessageIsItsAckAndExtendAnother) {
  Session session = Accept();
  SubscribeOptions options = Durable("d");
  options.group = "g";
  options.acks.emplace();
  (void)Subscribe(session, "a", options, 1);
  WriteStored(session, "a", 1, /*ack_id=*/9);
  const Received got = Next();
  EXPECT_EQ(got.subscription, 0U);
  client_->Extend(got.delivery.ack_id);
  client_->Done(got);
  for (const auto verdict : {pb::Ack::VERDICT_EXTEND, pb::Ack::VERDICT_DONE}) {
    const auto frame = session.Read(&pb::Frame::has_ack, "Ack");
    ASSERT_TRUE(frame.ok()) << frame.status();
    EXPECT_EQ(frame->ack().verdict(), verdict);
    ASSERT_EQ(frame->ack().ack_ids_size(), 1);
    EXPECT_EQ(frame->ack().ack_ids(0), 9U);
  }
}

TEST_F(ClientReadingTest, AReaderGoesOnBehindWhatItReceived) {
  Session first = Accept();
  (void)Subscribe(first, "a", Reading(Start::Last(3)), 5);
  for (uint64_t offset = 5; offset <= 7; ++offset) {
    WriteStored(first, "a", offset);
  }
  ExpectMessage(5);
  End(first);
  // The client has read 6 and 7 and not returned them.
  Session second = Accept();
  const pb::Subscribe again = AnswerSubscribe(second, 6);
  EXPECT_EQ(again.start().offset(), 6U);
  for (uint64_t offset = 6; offset <= 9; ++offset) {
    WriteStored(second, "a", offset);
  }
  for (uint64_t offset = 6; offset <= 9; ++offset) ExpectMessage(offset);
  ExpectNothing();
}

TEST_F(ClientReadingTest, AReaderThatReceivedNothingGoesOnWhereItBegan) {
  Session first = Accept();
  (void)Subscribe(first, "a", Reading(Start::Next()), 12);
  ASSERT_EQ(client_->Flush(), PublishOutcome::kSent);  // reads Subscribed
  End(first);
  Session second = Accept();
  EXPECT_EQ(AnswerSubscribe(second, 12).start().offset(), 12U);
  ExpectNothing();
}

TEST_F(ClientReadingTest, ADurableReaderGoesOnByItsName) {
  Session first = Accept();
  (void)Subscribe(first, "a", Durable("d"), 1);
  for (uint64_t offset = 1; offset <= 2; ++offset) {
    WriteStored(first, "a", offset);
  }
  ExpectMessage(1);
  End(first);
  Session second = Accept();
  const pb::Subscribe again = AnswerSubscribe(second, 1);
  EXPECT_EQ(again.durable(), "d");
  EXPECT_FALSE(again.has_start());
  WriteStored(second, "a", 1);
  ExpectMessage(2);
  ExpectMessage(1);
  ExpectNothing();
  ExpectAck(second, again, 2);
  // The broker passes over it, unless somebody has set the position back.
  ExpectAck(second, again, 1);
}

TEST_F(ClientReadingTest, WhatAnEarlierReaderLeftUnreadIsNotOfTheNext) {
  Session session = Accept();
  (void)Subscribe(session, "a", Reading(Start::First()), 1);
  for (uint64_t offset = 1; offset <= 3; ++offset) {
    WriteStored(session, "a", offset);
  }
  ExpectMessage(1);
  (void)client_->Unsubscribe("a", absl::ZeroDuration());
  EXPECT_TRUE(session.Read(&pb::Frame::has_unsubscribe, "Unsubscribe").ok());
  const pb::Subscribe reader = Subscribe(session, "a", Durable("d"), 1);
  WriteStored(session, "a", 1);
  ASSERT_EQ(client_->Flush(), PublishOutcome::kSent);  // reads all of it
  ExpectMessage(2);
  ExpectMessage(3);
  ExpectMessage(1);
  ExpectNothing();
  ExpectAck(session, reader, 1);
}

TEST_F(ClientReadingTest, ARefusalSaysWhy) {
  Session session = Accept();
  for (const auto& [code, status] :
       {std::pair(pb::Error::CODE_NO_LOG,
                  absl::StatusCode::kFailedPrecondition),
        std::pair(pb::Error::CODE_BAD_START, absl::StatusCode::kOutOfRange),
        std::pair(pb::Error::CODE_LOG_FAILED, absl::StatusCode::kDataLoss)}) {
    (void)client_->Subscribe("a", Reading(Start::First()),
                             absl::ZeroDuration());
    const auto asked = session.Read(&pb::Frame::has_subscribe, "Subscribe");
    ASSERT_TRUE(asked.ok()) << asked.status();
    WriteError(session, code, "why", asked->subscribe().request_id());
    EXPECT_EQ(client_->Subscribe("a", Reading(Start::First()), kHang).code(),
              status);
  }
}

TEST_F(ClientReadingTest, ABrokerWithoutLogsIsNoticed) {
  Session session = Accept();
  (void)client_->Subscribe("a", Reading(Start::First()), absl::ZeroDuration());
  ASSERT_TRUE(session.Subscribed().ok());
  const absl::Status status =
      client_->Subscribe("a", Reading(Start::First()), kHang);
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_NE(status.message().find("keeps no logs"), absl::string_view::npos)
      << status;
  EXPECT_TRUE(session.Read(&pb::Frame::has_unsubscribe, "Unsubscribe").ok());
}

TEST_F(ClientReadingTest, ALostSessionIsNoGapForAReader) {
  Session first = Accept();
  (void)Subscribe(first, "a", Durable("d"), 1);
  ExpectNothing();
  End(first);
  Session second = Accept();
  (void)AnswerSubscribe(second, 1);
  WriteStored(second, "a", 1);
  ExpectMessage(1);
}

}  // namespace
}  // namespace fifobus
