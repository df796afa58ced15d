#include "broker/core/sessions/session.h"

#include <memory>
#include <string>

#include "gtest/gtest.h"
#include "tests/support/session_fixture.h"

namespace fifobus {
namespace {

TEST_F(SessionTest, HelloIsAnsweredWithWelcome) {
  EXPECT_EQ(Feed(Hello()).outcome, FeedOutcome::kContinue);
  const pb::Welcome welcome = Answer().welcome();
  EXPECT_EQ(welcome.protocol_version(), kProtocolVersion);
  EXPECT_EQ(welcome.frame_bytes_max(), kFrameBytesMaxDefault);
  EXPECT_EQ(welcome.session_number(), 7u);
  EXPECT_EQ(session_.ClientText(), "test?name[42]");
}

TEST_F(SessionTest, WhatAClientPublishesAgainIsCounted) {
  pb::Frame hello;
  hello.mutable_hello()->set_protocol_version(kProtocolVersion);
  hello.mutable_hello()->set_resent_messages(3);
  Feed(ControlFrame(hello));
  EXPECT_TRUE(Answer().has_welcome());
  EXPECT_EQ(counters_.messages_resent.value(), 3u);
}

TEST_F(SessionTest, AnotherVersionIsRefused) {
  pb::Frame hello;
  hello.mutable_hello()->set_protocol_version(99);
  hello.mutable_hello()->set_resent_messages(3);
  ExpectRefused(ControlFrame(hello), pb::Error::CODE_UNSUPPORTED_VERSION);
  EXPECT_EQ(counters_.messages_resent.value(), 0u);
}

TEST_F(SessionTest, NothingMayComeBeforeHello) {
  ExpectRefused(MessageFrame("a", "x"), pb::Error::CODE_UNEXPECTED_FRAME);
}

TEST_F(SessionTest, ASecondHelloIsRefused) {
  Open();
  ExpectRefused(Hello(), pb::Error::CODE_UNEXPECTED_FRAME);
}

TEST_F(SessionTest, MessagesThatRepeatTheOneBeforeAreMessagesLikeOthers) {
  Open();
  Feed(Subscribe("a") + Subscribe("b"));
  Answer();
  Answer();
  sink_->written.clear();
  pb::Frame ping;
  ping.mutable_ping()->set_token(11);
  const std::string before = MessageFrame("a", "1") + MessageFrame("a", "2") +
                             MessageFrame("b", "3") + MessageFrame("b", "4") +
                             MessageFrame("b", "five");
  const std::string after = MessageFrame("b", "five") + MessageFrame("a", "6");
  Feed(before + ControlFrame(ping) + after);
  EXPECT_EQ(sink_->written.substr(0, before.size()), before);
  sink_->written.erase(0, before.size());
  EXPECT_EQ(Answer().pong().token(), 11u);
  EXPECT_EQ(sink_->written, after);
  EXPECT_EQ(counters_.messages_published.value(), 7u);
  EXPECT_EQ(topic_stats_.SumOf("a").messages, 3u);
  EXPECT_EQ(topic_stats_.SumOf("b").messages, 4u);
  EXPECT_EQ(topic_stats_.SumOf("b").bytes, 10u);
}

TEST_F(SessionTest, ARetainedMessageIsLiveForWhoIsThereAlready) {
  Open();
  const auto other = Other(1, "**", EgressFormat::kFrames);
  const std::string frames =
      MessageFrame("a", "0") + Retain("a", "1") + MessageFrame("a", "2");
  Feed(frames);
  EXPECT_EQ(other->written, frames);
  EXPECT_EQ(other->writes, 1) << "it must not split the chunk";
}

TEST_F(SessionTest, ConfirmsSayWhoTookTheMessageAndFollowIt) {
  Open();
  Other(1, "a", EgressFormat::kFrames);
  Other(2, "a", EgressFormat::kText, /*tap=*/true);
  Other(3, "*", EgressFormat::kFrames, /*tap=*/true);
  pb::Frame ping;
  ping.mutable_ping()->set_token(1);
  Feed(Subscribe("a") + Confirmed("a", 11) + Confirmed("nobody", 12) +
       Retain("a", "x", 13) + Confirmed("a", 14) + ControlFrame(ping));
  EXPECT_TRUE(Answer().has_subscribed());
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(Answer().has_message());
  pb::Confirm confirm = Answer().confirm();
  EXPECT_EQ(confirm.confirm_id(), 11u);
  EXPECT_EQ(confirm.level(), pb::Confirm::LEVEL_ACCEPTED);
  EXPECT_EQ(confirm.sessions(), 2u);
  EXPECT_EQ(confirm.taps(), 2u);
  EXPECT_FALSE(confirm.retained());
  confirm = Answer().confirm();
  EXPECT_EQ(confirm.confirm_id(), 12u);
  EXPECT_EQ(confirm.sessions(), 0u);
  EXPECT_EQ(confirm.taps(), 1u);
  confirm = Answer().confirm();
  EXPECT_EQ(confirm.confirm_id(), 13u);
  EXPECT_TRUE(confirm.retained());
  confirm = Answer().confirm();
  EXPECT_EQ(confirm.confirm_id(), 14u);
  EXPECT_FALSE(confirm.retained());
  const pb::Pong pong = Answer().pong();
  EXPECT_EQ(pong.token(), 1u);
  EXPECT_EQ(pong.level(), pb::Confirm::LEVEL_ACCEPTED);
}

TEST_F(SessionTest, AConfirmSaysThatAMessageWasNotRetained) {
  options_.retained_topics_max = 1;
  Open();
  Feed(Retain("a", "x", 1) + Retain("b", "x", 2) + Retain("a", "", 3) +
       Retain("b", "x", 4));
  for (const bool retained : {true, false, true, true}) {
    EXPECT_EQ(Answer().confirm().retained(), retained);
  }
}

TEST_F(SessionTest, WhatWasGoodIsConfirmedBeforeTheRefusal) {
  Open();
  Feed(Confirmed("a", 1) + std::string("\0\0\0\4junk", 8));
  EXPECT_EQ(Answer().confirm().confirm_id(), 1u);
  EXPECT_TRUE(Answer().has_error());
}

TEST_F(SessionTest, AWillIsPublishedOnceAtTheEnd) {
  pb::Message will;
  will.set_topic("status");
  will.set_payload("gone");
  will.set_retain(true);
  Feed(Hello(kProtocolVersion, will));
  ASSERT_TRUE(Answer().has_welcome());
  const auto other = Other(1, "**", EgressFormat::kFrames);
  Feed(MessageFrame("a", "last"));
  EXPECT_EQ(session_.OnHangUp(""), FeedOutcome::kClose);
  session_.EndSubscriptions();
  session_.PublishEnd("");
  session_.PublishEnd("");
  EXPECT_EQ(other->written,
            MessageFrame("a", "last") + Retain("status", "gone"));
  EXPECT_EQ(counters_.wills_published.value(), 1u);
  EXPECT_EQ(retained_.topics(), 1u);
}

TEST_F(SessionTest, AWillThatCouldNotBePublishedIsRefusedWithTheHello) {
  pb::Message will;
  will.set_topic("$sys/stats");
  ExpectRefused(Hello(kProtocolVersion, will), pb::Error::CODE_BAD_TOPIC);
  const auto other = Other(1, "$sys/**", EgressFormat::kFrames);
  session_.PublishEnd("");
  EXPECT_EQ(other->written, "") << "it was never a session";
}

TEST_F(SessionTest, AWillWithoutATopicIsRefused) {
  pb::Message will;
  will.set_payload("x");
  ExpectRefused(Hello(kProtocolVersion, will), pb::Error::CODE_BAD_TOPIC);
}

TEST_F(SessionTest, AWillWithABadContentTypeIsRefused) {
  pb::Message will;
  will.set_topic("a");
  will.set_content_type("text\nplain");
  ExpectRefused(Hello(kProtocolVersion, will), pb::Error::CODE_BAD_FRAME);
}

TEST_F(SessionTest, AnyChunkingOfTheStreamIsTheSameStream) {
  const std::string stream = Hello() + Subscribe("**") +
                             MessageFrame("a", std::string(300, 'x')) +
                             MessageFrame("b", "");
  // One byte more each time, as an ingress that keeps the rest would pass it.
  std::string kept;
  for (const char byte : stream) {
    kept += byte;
    const FeedResult result = Feed(kept);
    ASSERT_EQ(result.outcome, FeedOutcome::kContinue);
    kept.erase(0, result.bytes_taken);
    if (!kept.empty()) {
      EXPECT_GT(result.bytes_wanted, kept.size());
    }
  }
  EXPECT_EQ(kept, "");
  EXPECT_TRUE(Answer().has_welcome());
  EXPECT_TRUE(Answer().has_subscribed());
  EXPECT_EQ(Answer().message().payload().size(), 300u);
  EXPECT_EQ(Answer().message().topic(), "b");
}

TEST_F(SessionTest, MalformedFramesCloseItWithAReason) {
  Open();
  ExpectRefused(std::string("\0\0\0\4junk", 8), pb::Error::CODE_BAD_FRAME);
}

TEST_F(SessionTest, AFourGigabyteLengthIsRefusedAtItsPrefix) {
  Open();
  ExpectRefused("\xff\xff\xff\xff", pb::Error::CODE_FRAME_TOO_LARGE);
}

TEST_F(SessionTest, TwoMembersAreRefused) {
  Open();
  pb::Frame ping;
  ping.mutable_ping()->set_token(1);
  const std::string one = ControlFrame(ping).substr(4);
  const std::string two = one + one;
  ExpectRefused(std::string("\0\0\0", 3) + static_cast<char>(two.size()) + two,
                pb::Error::CODE_BAD_FRAME);
}

TEST_F(SessionTest, ARepeatedTopicIsRefused) {
  Open();
  const std::string member(
      "\x0a\x01"
      "a\x0a\x01"
      "b");
  const std::string body =
      std::string("\x0a") + static_cast<char>(member.size()) + member;
  ExpectRefused(
      std::string("\0\0\0", 3) + static_cast<char>(body.size()) + body,
      pb::Error::CODE_BAD_FRAME);
}

TEST_F(SessionTest, ReservedAndInvalidTopicsAreRefused) {
  Open();
  ExpectRefused(MessageFrame("$sys/x", ""), pb::Error::CODE_BAD_TOPIC);
}

TEST_F(SessionTest, ABrokersFrameIsRefused) {
  Open();
  pb::Frame gap;
  gap.mutable_gap()->set_messages(1);
  ExpectRefused(ControlFrame(gap), pb::Error::CODE_UNEXPECTED_FRAME);
}

TEST_F(SessionTest, GoodFramesBeforeABadOneAreRouted) {
  Open();
  Feed(Subscribe("a"));
  Answer();
  Feed(MessageFrame("a", "good") + std::string("\0\0\0\4junk", 8));
  EXPECT_EQ(Answer().message().payload(), "good");
  EXPECT_TRUE(Answer().has_error());
}

TEST_F(SessionTest, HangUpInAFrameIsCountedAndPublishesNothing) {
  Open();
  EXPECT_EQ(session_.OnHangUp(std::string_view("\0\0", 2)),
            FeedOutcome::kClose);
  EXPECT_EQ(counters_.frames_torn.value(), 1u);
  EXPECT_TRUE(session_.end_reason().empty());
}

TEST_F(SessionTest, AfterItsSubscriptionsEndItStillPublishes) {
  Open();
  Feed(Subscribe("a"));
  session_.EndSubscriptions();
  EXPECT_TRUE(table_.snapshot()->Match("a").empty());
  const auto other_sink = std::make_shared<FakeSink>();
  table_.Add("a", std::make_shared<Egress>(1, EgressFormat::kFrames, options_,
                                           other_sink, counters_));
  EXPECT_EQ(Feed(MessageFrame("a", "last")).outcome, FeedOutcome::kContinue);
  EXPECT_EQ(other_sink->written, MessageFrame("a", "last"));
}

TEST_F(SessionTest, AClientThatNeverReadsItsAnswersIsClosed) {
  Open();
  sink_->room = 0;
  pb::Frame stats;
  stats.mutable_ping()->set_token(1);
  std::string many;
  for (int i = 0; i < 10000; ++i) many += ControlFrame(stats);
  FeedOutcome outcome = FeedOutcome::kContinue;
  for (int i = 0; i < 100 && outcome == FeedOutcome::kContinue; ++i) {
    outcome = Feed(many).outcome;
  }
  EXPECT_EQ(outcome, FeedOutcome::kClose);
}

}  // namespace
}  // namespace fifobus
