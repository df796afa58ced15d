// Subscriptions that read a log: what a session is told.

#include <string>
#include <vector>

#include "broker/rules/topic_rules.h"
#include "gtest/gtest.h"
#include "tests/support/reading_session_fixture.h"

namespace fifobus {
namespace {

using Offsets = std::vector<uint64_t>;

TEST_F(ReadingSessionTest, APatternWithoutALogIsRefusedAndTheLogsAreNamed) {
  OpenLog();
  Open();
  EXPECT_EQ(Feed(Bytes(Reading("parcels/**"))).outcome, FeedOutcome::kContinue);
  const pb::Frame answer = Await();
  EXPECT_EQ(answer.error().code(), pb::Error::CODE_NO_LOG);
  EXPECT_NE(answer.error().text().find("orders (orders/**)"),
            std::string::npos);
  ExpectRefusal(Reading("**"), pb::Error::CODE_NO_LOG);
}

TEST_F(ReadingSessionTest, WhatIsStoredComesAndThenWhatIsStoredNext) {
  OpenLog();
  Store({{"orders/a", "1"}, {"orders/b", "2"}});
  Open();
  (void)Feed(Bytes(Reading("orders/**", 7)));
  const pb::Frame subscribed = Await();
  EXPECT_EQ(subscribed.subscribed().request_id(), 7u);
  EXPECT_EQ(subscribed.subscribed().log(), "orders");
  EXPECT_EQ(subscribed.subscribed().next_offset(), 1u);
  EXPECT_EQ(AwaitMessage(), (ReadMessage{1, "1"}));
  EXPECT_EQ(AwaitMessage(), (ReadMessage{2, "2"}));
  const pb::Frame caught_up = Await();
  EXPECT_EQ(caught_up.caught_up().request_id(), 7u);
  EXPECT_EQ(caught_up.caught_up().next_offset(), 3u);
  Store({{"orders/a", "3"}});
  EXPECT_EQ(AwaitMessage(), (ReadMessage{3, "3"}));
  EXPECT_EQ(log_->replay_readers(), 1u);
}

TEST_F(ReadingSessionTest, AnEmptyLogIsCaughtUpWithAtOnce) {
  OpenLog();
  Open();
  EXPECT_EQ(Replay(Reading("orders/**")), Offsets());
}

TEST_F(ReadingSessionTest, AStartIsAnOffsetOrATimeOrTheLastOrTheNext) {
  OpenLog();
  Store({{"orders/a", "1"}, {"orders/b", "2"}, {"orders/a", "3"}});
  const uint64_t between = static_cast<uint64_t>(absl::GetCurrentTimeNanos());
  Store({{"orders/a", "4"}, {"orders/b", "5"}});
  Open();
  pb::Subscribe subscribe = Reading("orders/**", 1);
  subscribe.mutable_start()->set_offset(4);
  EXPECT_EQ(Replay(subscribe), (Offsets{4, 5}));
  subscribe.mutable_start()->set_last(3);
  EXPECT_EQ(Replay(subscribe), (Offsets{3, 4, 5}));
  subscribe.mutable_start()->set_last(100);
  EXPECT_EQ(Replay(subscribe), (Offsets{1, 2, 3, 4, 5}));
  subscribe.mutable_start()->set_time_unix_nanos(between);
  EXPECT_EQ(Replay(subscribe), (Offsets{4, 5}));
  subscribe.mutable_start()->set_next(true);
  EXPECT_EQ(Replay(subscribe), Offsets());
  subscribe = Reading("orders/a", 1);
  subscribe.mutable_start()->set_last(2);
  EXPECT_EQ(Replay(subscribe), (Offsets{3, 4}));
  subscribe.mutable_start()->set_last(0);
  EXPECT_EQ(Replay(subscribe), Offsets());
}

TEST_F(ReadingSessionTest, TheLastAreFoundFarBackInTheLog) {
  options_.log_turn_bytes = 1000;
  options_.log_block_bytes = 1000;
  OpenLog();
  Store({{"orders/rare", "1"}, {"orders/rare", "2"}});
  for (int i = 0; i < 60; ++i) {
    Store(std::vector<TestMessage>(100, {"orders/often", "x"}));
  }
  Store({{"orders/rare", "last"}});
  Open();
  pb::Subscribe subscribe = Reading("orders/rare");
  subscribe.mutable_start()->set_last(2);
  EXPECT_EQ(Replay(subscribe), (Offsets{2, 6003}));
}

TEST_F(ReadingSessionTest, AStartThatIsNoneIsRefused) {
  OpenLog();
  Store({{"orders/a", "1"}});
  Open();
  pb::Subscribe subscribe = Reading("orders/**");
  subscribe.mutable_start()->set_offset(3);
  ExpectRefusal(subscribe, pb::Error::CODE_BAD_START);
  subscribe.mutable_start()->set_offset(0);
  ExpectRefusal(subscribe, pb::Error::CODE_BAD_START);
  subscribe.mutable_start()->clear_at();
  ExpectRefusal(subscribe, pb::Error::CODE_BAD_START);
  subscribe.mutable_start()->set_offset(2);
  EXPECT_EQ(Replay(subscribe), Offsets());
}

TEST_F(ReadingSessionTest, UntilNowEndsWithCaughtUp) {
  OpenLog();
  Store({{"orders/a", "1"}});
  Open();
  pb::Subscribe subscribe = Reading("orders/**");
  subscribe.set_until_now(true);
  EXPECT_EQ(Replay(subscribe), (Offsets{1}));
  EXPECT_EQ(log_->replay_readers(), 0u);
  Store({{"orders/a", "2"}});
  EXPECT_EQ(Replay(subscribe), (Offsets{1, 2}));
  EXPECT_TRUE(sink_->written.empty());
}

TEST_F(ReadingSessionTest, UnsubscribeEndsIt) {
  OpenLog();
  Open();
  EXPECT_EQ(Replay(Reading("orders/**")), Offsets());
  pb::Frame frame;
  frame.mutable_unsubscribe()->set_request_id(2);
  frame.mutable_unsubscribe()->set_pattern("orders/**");
  (void)Feed(ControlFrame(frame));
  EXPECT_TRUE(Answer().has_unsubscribed());
  Store({{"orders/a", "1"}});
  tasks_.RunAll();
  EXPECT_TRUE(sink_->written.empty());
}

TEST_F(ReadingSessionTest, WithLittleRoomItGoesOnWhenThereIsMore) {
  OpenLog();
  for (int i = 0; i < 50; ++i) Store({{"orders/a", std::string(100, 'x')}});
  Open();
  sink_->room = 500;
  (void)Feed(Bytes(Reading("orders/**")));
  std::string all;
  for (int i = 0; i < 1000 && Split(all).frames.size() < 102; ++i) {
    tasks_.RunAll();
    all += std::exchange(sink_->written, {});
    sink_->room = 333;
    egress_->OnWritable();
  }
  const SplitFrames split = Split(all);
  ASSERT_EQ(split.frames.size(), 102u);
  for (uint64_t offset = 1; offset <= 50; ++offset) {
    EXPECT_EQ(Parse(split.frames[2 * offset - 1]).delivery().offset(), offset);
  }
  EXPECT_TRUE(Parse(split.frames[101]).has_caught_up());
}

TEST_F(ReadingSessionTest, ItGetsNoRetainedValues) {
  OpenLog();
  Open();
  (void)Feed(Retain("orders/a", "kept"));
  pb::Subscribe subscribe = Reading("orders/a");
  subscribe.mutable_start()->set_next(true);
  EXPECT_EQ(Replay(subscribe), Offsets());
}

TEST_F(ReadingSessionTest, TheRulesDecideAboutItAsAboutAny) {
  OpenLog();
  TopicRule rule;
  rule.pattern = "orders/secret";
  rule.subscribe = Principals{/*everyone=*/false, {12345}};
  Open();
  EXPECT_EQ(Replay(Reading("orders/secret")), Offsets());
  table_.SetRules(TopicRules({}, {rule}));
  ExpectRefusal(Reading("orders/secret", 2), pb::Error::CODE_DENIED);
  EXPECT_EQ(session_.OnRules(), FeedOutcome::kClose);
  EXPECT_EQ(Answer().error().code(), pb::Error::CODE_DENIED);
}

TEST_F(ReadingSessionTest, ItCountsAsAPatternOfTheSession) {
  options_.session_patterns_max = 1;
  OpenLog();
  Open();
  EXPECT_EQ(Replay(Reading("orders/a")), Offsets());
  ExpectRefusal(Reading("orders/b", 2), pb::Error::CODE_LIMIT);
  pb::StatsReply reply;
  session_.AppendStats(reply);
  EXPECT_EQ(reply.sessions(0).patterns(0), "orders/a");
}

TEST_F(ReadingSessionTest, AGoodbyeOfTheBrokerStopsTheReading) {
  OpenLog();
  Open();
  EXPECT_EQ(Replay(Reading("orders/**")), Offsets());
  session_.SayGoodbye("the broker is stopping");
  EXPECT_TRUE(Answer().has_goodbye());
  Store({{"orders/a", "1"}});
  tasks_.RunAll();
  EXPECT_TRUE(sink_->written.empty());
}

TEST_F(ReadingSessionTest, ADurableReaderGoesOnWhereItWasDone) {
  OpenLog();
  Store({{"orders/a", "1"}, {"orders/a", "2"}, {"orders/a", "3"}});
  Open();
  EXPECT_EQ(Replay(Durable("orders/**", "billing", 5)), (Offsets{1, 2, 3}));
  (void)Feed(Done(5, 2));
  const auto reader = log_->readers().Find("billing");
  ASSERT_NE(reader, nullptr);
  EXPECT_EQ(reader->position(), 3u);
  EXPECT_EQ(reader->sessions(), (std::vector<uint64_t>{7}));
  (void)Feed(Done(5, 1));
  EXPECT_EQ(reader->position(), 3u);
  (void)Feed(Done(5, 4));  // which it was never sent
  EXPECT_EQ(reader->position(), 3u);
  session_.EndSubscriptions();
  (void)Feed(Done(5, 3));  // it was in `up`
  EXPECT_EQ(reader->position(), 4u);
  session_.EndMemberships();
  EXPECT_FALSE(reader->in_use());
  Store({{"orders/a", "4"}});
  Other& next = Add(8);
  (void)FeedTo(next, Bytes(Durable("orders/**", "billing")));
  const std::vector<pb::Frame> frames = AwaitFrames(next, 3);
  EXPECT_EQ(frames[0].subscribed().next_offset(), 4u);
  EXPECT_EQ(frames[1].delivery().offset(), 4u);
}

TEST_F(ReadingSessionTest, ADurableReaderBeginsAtItsStartOnce) {
  OpenLog();
  Store({{"orders/a", "1"}, {"orders/a", "2"}});
  Open();
  pb::Subscribe subscribe = Durable("orders/**", "billing");
  subscribe.mutable_start()->set_offset(2);
  EXPECT_EQ(Replay(subscribe), (Offsets{2}));
  Other& next = Add(8);
  subscribe.mutable_start()->set_next(true);
  (void)FeedTo(next, Bytes(subscribe));
  EXPECT_EQ(AwaitFrames(next, 2)[0].subscribed().next_offset(), 2u);
}

TEST_F(ReadingSessionTest, AnotherSessionTakesTheDurableReaderOver) {
  OpenLog();
  Store({{"orders/a", "1"}, {"orders/a", "2"}});
  Open();
  EXPECT_EQ(Replay(Durable("orders/**", "billing", 5)), (Offsets{1, 2}));
  EXPECT_TRUE(fenced_.empty());
  Other& next = Add(8);
  (void)FeedTo(next, Bytes(Durable("orders/**", "billing")));
  EXPECT_EQ(AwaitFrames(next, 2)[0].subscribed().next_offset(), 1u);
  EXPECT_NE(fenced_.find("billing"), std::string::npos);
  (void)Feed(Done(5, 2));
  EXPECT_EQ(log_->readers().Find("billing")->position(), 1u);
  EXPECT_EQ(session_.OnFenced(fenced_), FeedOutcome::kClose);
  EXPECT_EQ(Answer().error().code(), pb::Error::CODE_FENCED);
}

TEST_F(ReadingSessionTest, WhatIsNotThePatternsIsDoneWithWhatComesBefore) {
  OpenLog();
  Store({{"orders/b", "1"}, {"orders/a", "2"}, {"orders/b", "3"}});
  Open();
  EXPECT_EQ(Replay(Durable("orders/a", "billing", 5)), (Offsets{2}));
  const auto reader = log_->readers().Find("billing");
  EXPECT_EQ(reader->position(), 1u);
  (void)Feed(Done(5, 2));
  EXPECT_EQ(reader->position(), 4u);
  Store({{"orders/b", "4"}});
  tasks_.RunUntil([&] { return reader->position() == 5; });
  EXPECT_EQ(log_->readers().DoneOffset(), 4u);
}

TEST_F(ReadingSessionTest, WhatADurableReaderMayNotBeIsRefused) {
  options_.log_readers_max = 1;
  OpenLog();
  Open();
  EXPECT_EQ(Replay(Durable("orders/a", "billing")), Offsets());
  ExpectRefusal(Durable("orders/*", "other", 2), pb::Error::CODE_BAD_DURABLE);
  ExpectRefusal(Durable("orders/b", "bad/name", 3),
                pb::Error::CODE_BAD_DURABLE);
  ExpectRefusal(Durable("orders/b", "billing", 4), pb::Error::CODE_BAD_DURABLE);
  ExpectRefusal(Durable("orders/b", "second", 5), pb::Error::CODE_LIMIT);
  pb::Subscribe until_now = Durable("orders/b", "other", 6);
  until_now.set_until_now(true);
  ExpectRefusal(until_now, pb::Error::CODE_BAD_DURABLE);
  ASSERT_EQ(log_->readers().Open("grouped", "orders/b", "g", 1).outcome,
            ReaderTable::OpenOutcome::kTooMany);
}

TEST_F(ReadingSessionTest, AGroupsDurableReaderIsNotForOneSession) {
  OpenLog();
  Open();
  (void)log_->readers().Open("grouped", "orders/b", "g", 1);
  ExpectRefusal(Durable("orders/b", "grouped"), pb::Error::CODE_BAD_DURABLE);
}

}  // namespace
}  // namespace fifobus
