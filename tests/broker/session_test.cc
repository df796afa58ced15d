#include "broker/core/sessions/session.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "proto/version.h"
#include "tests/support/core_fakes.h"
#include "tests/support/group_fakes.h"

namespace fifobus {
namespace {

class NoStats : public StatsSource {
 public:
  pb::StatsReply CollectStats() const override {
    pb::StatsReply reply;
    reply.add_topics()->set_name("seen");
    return reply;
  }
  pb::StatsReply CollectTopic(const std::string& topic) const override {
    pb::StatsReply reply;
    reply.add_topics()->set_name(topic);
    return reply;
  }
};

class SessionTest : public testing::Test {
 protected:
  SessionTest() { session_.SetValve(std::make_shared<FakeValve>()); }
  // A session's egress and its memberships hold each other until it ends, as a
  // group and its egress do.
  ~SessionTest() override {
    session_.EndSubscriptions();
    session_.EndMemberships();
    groups_.EndAll();
  }

  const FeedResult& Feed(const std::string& bytes) {
    const ChunkRef chunk = ChunkOf(bytes);
    result_ = session_.Take(chunk, {chunk->bytes(), bytes.size()});
    return result_;
  }

  static std::string Hello(uint32_t version = kProtocolVersion,
                           const pb::Message& will = {}) {
    pb::Frame frame;
    if (will.ByteSizeLong() > 0) *frame.mutable_hello()->mutable_will() = will;
    frame.mutable_hello()->set_protocol_version(version);
    frame.mutable_hello()->set_client_name("test\nname");
    frame.mutable_hello()->set_pid(42);
    return ControlFrame(frame);
  }

  static std::string Subscribe(const std::string& pattern, uint64_t id = 1) {
    pb::Frame frame;
    frame.mutable_subscribe()->set_request_id(id);
    frame.mutable_subscribe()->set_pattern(pattern);
    return ControlFrame(frame);
  }

  static std::string Publish(MessageFields fields) {
    std::string frame;
    AppendMessageFrame(fields, frame);
    return frame;
  }
  static std::string Retain(std::string_view topic, std::string_view payload,
                            uint64_t confirm_id = 0) {
    MessageFields fields;
    fields.topic = topic;
    fields.payload = payload;
    fields.retain = true;
    fields.confirm_id = confirm_id;
    return Publish(fields);
  }
  static std::string Confirmed(std::string_view topic, uint64_t confirm_id) {
    MessageFields fields;
    fields.topic = topic;
    fields.confirm_id = confirm_id;
    return Publish(fields);
  }

  // Somebody else who subscribes.
  std::shared_ptr<FakeSink> Other(uint32_t id, const std::string& pattern,
                                  EgressFormat format, bool tap = false) {
    const auto sink = std::make_shared<FakeSink>();
    const auto egress =
        std::make_shared<Egress>(id, format, options_, sink, counters_);
    if (tap) egress->SetTap();
    table_.Add(pattern, egress);
    return sink;
  }

  // What the client reads next.
  pb::Frame Answer() {
    const SplitFrames split = Split(sink_->written);
    if (split.frames.empty()) return {};
    sink_->written.erase(0, split.frames[0].size());
    return Parse(split.frames[0]);
  }

  void Open() {
    ASSERT_EQ(Feed(Hello()).outcome, FeedOutcome::kContinue);
    ASSERT_TRUE(Answer().has_welcome());
  }

  // That the session ends, telling the client why.
  void ExpectRefused(const std::string& bytes, pb::Error::Code code) {
    EXPECT_EQ(Feed(bytes).outcome, FeedOutcome::kClose);
    const pb::Frame answer = Answer();
    EXPECT_EQ(answer.error().code(), code) << answer.ShortDebugString();
    EXPECT_EQ(answer.error().request_id(), 0u);
    EXPECT_FALSE(answer.error().text().empty());
    EXPECT_FALSE(session_.end_reason().empty());
    EXPECT_EQ(counters_.frames_refused.value(), 1u);
  }

  FeedResult result_;
  BrokerOptions options_;
  Counters counters_;
  SubscriptionTable table_;
  RetainedStore retained_{options_, counters_};
  Router router_{options_, table_, counters_, nullptr, &retained_};
  NoStats stats_;
  IdPool ids_;
  FakeGroupHost host_;
  GroupTable groups_{options_, table_, ids_, counters_, host_};
  int subscribed_ = 0;
  const std::function<void()> on_subscribed_ = [this] { ++subscribed_; };
  std::shared_ptr<FakeSink> sink_ = std::make_shared<FakeSink>();
  std::shared_ptr<Egress> egress_ = std::make_shared<Egress>(
      ids_.Take(), EgressFormat::kFrames, options_, sink_, counters_);
  Session session_{7,
                   {options_, table_, router_, counters_, stats_,
                    on_subscribed_, retained_, groups_},
                   egress_};
};

TEST_F(SessionTest, HelloIsAnsweredWithWelcome) {
  EXPECT_EQ(Feed(Hello()).outcome, FeedOutcome::kContinue);
  const pb::Welcome welcome = Answer().welcome();
  EXPECT_EQ(welcome.protocol_version(), kProtocolVersion);
  EXPECT_EQ(welcome.frame_bytes_max(), kFrameBytesMaxDefault);
  EXPECT_EQ(welcome.session_number(), 7u);
  EXPECT_EQ(session_.ClientText(), "test?name[42]");
}

TEST_F(SessionTest, AnotherVersionIsRefused) {
  ExpectRefused(Hello(99), pb::Error::CODE_UNSUPPORTED_VERSION);
}

TEST_F(SessionTest, NothingMayComeBeforeHello) {
  ExpectRefused(MessageFrame("a", "x"), pb::Error::CODE_UNEXPECTED_FRAME);
}

TEST_F(SessionTest, ASecondHelloIsRefused) {
  Open();
  ExpectRefused(Hello(), pb::Error::CODE_UNEXPECTED_FRAME);
}

TEST_F(SessionTest, AnOverflowPolicyAndBoundsAreTakenAndToldInWelcome) {
  pb::Frame frame;
  pb::Hello& hello = *frame.mutable_hello();
  hello.set_protocol_version(kProtocolVersion);
  hello.set_overflow(pb::OVERFLOW_LATEST);
  hello.set_queue_bytes_max(5000);
  hello.set_queue_messages_max(10);
  Feed(ControlFrame(frame));
  const pb::Welcome welcome = Answer().welcome();
  EXPECT_EQ(welcome.queue_bytes_max(), 5000u);
  EXPECT_EQ(welcome.queue_messages_max(), 10u);
  EXPECT_EQ(egress_->state().overflow, Overflow::kLatest);
  pb::StatsReply reply;
  session_.AppendStats(reply);
  EXPECT_EQ(reply.sessions(0).queue().overflow(), pb::OVERFLOW_LATEST);
}

TEST_F(SessionTest, BoundsAboveTheBrokersBecomeTheBrokers) {
  pb::Frame frame;
  frame.mutable_hello()->set_protocol_version(kProtocolVersion);
  frame.mutable_hello()->set_queue_bytes_max(size_t{1} << 40);
  Feed(ControlFrame(frame));
  const pb::Welcome welcome = Answer().welcome();
  EXPECT_EQ(welcome.queue_bytes_max(), options_.egress_queue_bytes_max);
  EXPECT_EQ(welcome.queue_messages_max(), 0u);
}

TEST_F(SessionTest, APolicyThatTheBusDoesNotAllowIsRefused) {
  options_.overflow_allowed = {Overflow::kDropOldest};
  pb::Frame frame;
  frame.mutable_hello()->set_protocol_version(kProtocolVersion);
  frame.mutable_hello()->set_overflow(pb::OVERFLOW_BLOCK);
  ExpectRefused(ControlFrame(frame), pb::Error::CODE_BAD_OVERFLOW);
}

TEST_F(SessionTest, SubscribeIsAnsweredAndThenMessagesArrive) {
  Open();
  EXPECT_EQ(Feed(Subscribe("a/*", 5)).outcome, FeedOutcome::kContinue);
  EXPECT_EQ(Answer().subscribed().request_id(), 5u);
  EXPECT_EQ(subscribed_, 1);
  Feed(MessageFrame("a/b", "x"));
  EXPECT_EQ(Answer().message().payload(), "x");
}

TEST_F(SessionTest, WhatWasPublishedBeforeSubscribeDoesNotArrive) {
  Open();
  Feed(MessageFrame("a", "before") + Subscribe("a") +
       MessageFrame("a", "after"));
  EXPECT_TRUE(Answer().has_subscribed());
  EXPECT_EQ(Answer().message().payload(), "after");
  EXPECT_FALSE(Answer().has_message());
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
  EXPECT_EQ(router_.CountOf("a").messages, 3u);
  EXPECT_EQ(router_.CountOf("b").messages, 4u);
  EXPECT_EQ(router_.CountOf("b").bytes, 10u);
}

TEST_F(SessionTest, UnsubscribeEndsOnePattern) {
  Open();
  Feed(Subscribe("a") + Subscribe("b"));
  Answer();
  Answer();
  pb::Frame frame;
  frame.mutable_unsubscribe()->set_request_id(9);
  frame.mutable_unsubscribe()->set_pattern("a");
  Feed(ControlFrame(frame) + MessageFrame("a", "1") + MessageFrame("b", "2"));
  EXPECT_EQ(Answer().unsubscribed().request_id(), 9u);
  EXPECT_EQ(Answer().message().topic(), "b");
}

TEST_F(SessionTest, ABadPatternIsAnsweredAndTheSessionGoesOn) {
  Open();
  EXPECT_EQ(Feed(Subscribe("a//b", 3)).outcome, FeedOutcome::kContinue);
  const pb::Error error = Answer().error();
  EXPECT_EQ(error.code(), pb::Error::CODE_BAD_PATTERN);
  EXPECT_EQ(error.request_id(), 3u);
}

TEST_F(SessionTest, PatternsAreBounded) {
  options_.session_patterns_max = 2;
  Open();
  Feed(Subscribe("a", 1) + Subscribe("b", 2) + Subscribe("c", 3));
  EXPECT_TRUE(Answer().has_subscribed());
  EXPECT_TRUE(Answer().has_subscribed());
  EXPECT_EQ(Answer().error().code(), pb::Error::CODE_LIMIT);
}

TEST_F(SessionTest, PingAndStatsAreAnswered) {
  Open();
  pb::Frame ping;
  ping.mutable_ping()->set_token(11);
  pb::Frame stats;
  stats.mutable_stats()->set_request_id(12);
  Feed(ControlFrame(ping) + ControlFrame(stats));
  EXPECT_EQ(Answer().pong().token(), 11u);
  const pb::StatsReply reply = Answer().stats_reply();
  EXPECT_EQ(reply.request_id(), 12u);
  EXPECT_EQ(reply.topics(0).name(), "seen");
}

TEST_F(SessionTest, StatsOfOneTopicNameNothingElse) {
  Open();
  pb::Frame stats;
  stats.mutable_stats()->set_request_id(12);
  stats.mutable_stats()->set_topic("wanted");
  Feed(ControlFrame(stats));
  EXPECT_EQ(Answer().stats_reply().topics(0).name(), "wanted");
  stats.mutable_stats()->set_topic("bad name");
  EXPECT_EQ(Feed(ControlFrame(stats)).outcome, FeedOutcome::kContinue);
  const pb::Error error = Answer().error();
  EXPECT_EQ(error.code(), pb::Error::CODE_BAD_TOPIC);
  EXPECT_EQ(error.request_id(), 12u);
}

TEST_F(SessionTest, SubscribeBeginsWithRetainedValues) {
  Open();
  Feed(Retain("a/x", "old") + Retain("a/x", "new") + Retain("b", "other") +
       MessageFrame("a/y", "not retained") + Subscribe("a/*", 5));
  EXPECT_TRUE(Answer().delivery().retained());
  EXPECT_EQ(Answer().message().payload(), "new");
  EXPECT_EQ(Answer().subscribed().request_id(), 5u);
  EXPECT_EQ(Answer().member_case(), pb::Frame::MEMBER_NOT_SET);
}

TEST_F(SessionTest, RetainedValuesComeOnceHoweverManyPatternsMatch) {
  Open();
  Feed(Retain("a/x", "1") + Retain("a/y", "2") + Subscribe("a/x") +
       Subscribe("a/**") + Subscribe("**") + Subscribe("a/x"));
  std::vector<std::string> payloads;
  int subscribed = 0;
  for (pb::Frame frame = Answer();
       frame.member_case() != pb::Frame::MEMBER_NOT_SET; frame = Answer()) {
    if (frame.has_message()) payloads.push_back(frame.message().payload());
    subscribed += frame.has_subscribed() ? 1 : 0;
  }
  EXPECT_EQ(payloads, (std::vector<std::string>{"1", "2"}));
  EXPECT_EQ(subscribed, 4);
}

TEST_F(SessionTest, SkipRetainedSkipsThem) {
  Open();
  pb::Frame frame;
  frame.mutable_subscribe()->set_request_id(1);
  frame.mutable_subscribe()->set_pattern("a");
  frame.mutable_subscribe()->set_skip_retained(true);
  Feed(Retain("a", "old") + ControlFrame(frame) + MessageFrame("a", "live"));
  EXPECT_TRUE(Answer().has_subscribed());
  EXPECT_EQ(Answer().message().payload(), "live");
}

TEST_F(SessionTest, HistoryIsKeptWithoutAskingForIt) {
  table_.SetRules(TopicRules({{"log/**", 2}}, {}));
  Open();
  Feed(MessageFrame("log/a", "1") + MessageFrame("log/a", "2") +
       MessageFrame("log/a", "3") + Subscribe("log/a"));
  for (const char* payload : {"2", "3"}) {
    EXPECT_TRUE(Answer().delivery().retained());
    EXPECT_EQ(Answer().message().payload(), payload);
  }
  EXPECT_TRUE(Answer().has_subscribed());
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

TEST_F(SessionTest, StatsNameItsPatternsAndQueue) {
  Open();
  Feed(Subscribe("a/**") + MessageFrame("x", ""));
  pb::StatsReply reply;
  session_.AppendStats(reply);
  ASSERT_EQ(reply.sessions_size(), 1);
  EXPECT_EQ(reply.sessions(0).number(), 7u);
  EXPECT_EQ(reply.sessions(0).pid(), 42u);
  EXPECT_EQ(reply.sessions(0).published(), 1u);
  EXPECT_EQ(reply.sessions(0).patterns(0), "a/**");
}

class SessionGroupTest : public SessionTest {
 protected:
  static pb::Frame Join(const std::string& group, uint64_t id = 5) {
    pb::Frame frame;
    frame.mutable_subscribe()->set_request_id(id);
    frame.mutable_subscribe()->set_pattern("a");
    frame.mutable_subscribe()->set_group(group);
    return frame;
  }

  // That only the request fails.
  void ExpectBadGroup(const pb::Frame& frame) {
    EXPECT_EQ(Feed(ControlFrame(frame)).outcome, FeedOutcome::kContinue);
    const pb::Error error = Answer().error();
    EXPECT_EQ(error.code(), pb::Error::CODE_BAD_GROUP);
    EXPECT_EQ(error.request_id(), frame.subscribe().request_id());
    EXPECT_FALSE(error.text().empty());
  }
};

TEST_F(SessionGroupTest, AMemberIsAnsweredAndGetsMessagesUntilItUnsubscribes) {
  Open();
  Feed(ControlFrame(Join("g")) + MessageFrame("a", "1"));
  EXPECT_EQ(Answer().subscribed().request_id(), 5u);
  EXPECT_EQ(Answer().message().payload(), "1");
  EXPECT_EQ(subscribed_, 1);
  pb::Frame frame;
  frame.mutable_unsubscribe()->set_request_id(6);
  frame.mutable_unsubscribe()->set_pattern("a");
  frame.mutable_unsubscribe()->set_group("g");
  Feed(ControlFrame(frame) + MessageFrame("a", "2"));
  EXPECT_EQ(Answer().unsubscribed().request_id(), 6u);
  EXPECT_FALSE(Answer().has_message());
}

TEST_F(SessionGroupTest, AGroupAndAPlainSubscriptionEndApart) {
  Open();
  Feed(ControlFrame(Join("g")) + Subscribe("a"));
  Answer();
  Answer();
  pb::Frame frame;
  frame.mutable_unsubscribe()->set_pattern("a");
  Feed(MessageFrame("a", "1") + ControlFrame(frame) + MessageFrame("a", "2"));
  EXPECT_EQ(Answer().message().payload(), "1");
  EXPECT_EQ(Answer().message().payload(), "1");
  EXPECT_TRUE(Answer().has_unsubscribed());
  EXPECT_EQ(Answer().message().payload(), "2");
  EXPECT_FALSE(Answer().has_message());
}

TEST_F(SessionGroupTest, AcknowledgedMessagesAreAnsweredWithAck) {
  Open();
  pb::Frame join = Join("g");
  join.mutable_subscribe()->mutable_acks();
  Feed(ControlFrame(join) + MessageFrame("a", "1") + MessageFrame("a", "2"));
  EXPECT_TRUE(Answer().has_subscribed());
  const uint64_t id = Answer().delivery().ack_id();
  EXPECT_EQ(Answer().message().payload(), "1");
  EXPECT_FALSE(Answer().has_delivery()) << "one at a time by default";
  pb::Frame ack;
  ack.mutable_ack()->add_ack_ids(id + 100);
  ack.mutable_ack()->add_ack_ids(id);
  Feed(ControlFrame(ack));
  EXPECT_EQ(Answer().delivery().delivery_count(), 1u);
  EXPECT_EQ(Answer().message().payload(), "2");
}

TEST_F(SessionGroupTest, ABadNameIsAnsweredWithAnError) {
  Open();
  ExpectBadGroup(Join("a/b"));
  ExpectBadGroup(Join("*"));
  ExpectBadGroup(Join("$g"));
  ExpectBadGroup(Join(std::string(200, 'x')));
}

TEST_F(SessionGroupTest, AcksBeyondTheBrokersLimitsAreAnsweredWithAnError) {
  Open();
  pb::Frame frame = Join("g");
  frame.mutable_subscribe()->mutable_acks()->set_unacked_max(
      options_.group_unacked_max + 1);
  ExpectBadGroup(frame);
  frame.mutable_subscribe()->mutable_acks()->set_unacked_max(1);
  frame.mutable_subscribe()->mutable_acks()->set_timeout_millis(UINT64_MAX);
  ExpectBadGroup(frame);
  frame.mutable_subscribe()->mutable_acks()->set_timeout_millis(1);
  frame.mutable_subscribe()->mutable_acks()->set_deliveries_max(
      options_.group_deliveries_max + 1);
  ExpectBadGroup(frame);
  frame.mutable_subscribe()->mutable_acks()->set_deliveries_max(1);
  Feed(ControlFrame(frame));
  EXPECT_TRUE(Answer().has_subscribed());
  // Its group has other acks now, and acks are nothing without a group.
  ExpectBadGroup(Join("g"));
  frame.mutable_subscribe()->clear_group();
  ExpectBadGroup(frame);
}

TEST_F(SessionGroupTest, AnEndedSessionIsInNoGroup) {
  Open();
  Feed(ControlFrame(Join("g")));
  EXPECT_TRUE(router_.HasSubscriber("a"));
  session_.EndSubscriptions();
  session_.EndMemberships();
  EXPECT_FALSE(router_.HasSubscriber("a"));
}

TEST_F(SessionGroupTest, AcksThatWereWrittenBeforeTheReaderLeftStillCount) {
  Open();
  pb::Frame join = Join("g");
  join.mutable_subscribe()->mutable_acks()->set_unacked_max(1);
  Feed(ControlFrame(join));
  EXPECT_TRUE(Answer().has_subscribed());
  Feed(MessageFrame("a", "done"));
  pb::Frame ack;
  ack.mutable_ack()->add_ack_ids(Answer().delivery().ack_id());
  // The pipe to the client breaks first, then what it has written is read.
  session_.EndSubscriptions();
  Feed(ControlFrame(ack));
  session_.EndMemberships();
  pb::StatsReply reply;
  groups_.AppendStats(reply);
  ASSERT_EQ(reply.groups_size(), 1);
  EXPECT_EQ(reply.groups(0).unacked(), 0u);
  EXPECT_EQ(reply.groups(0).queue().queued_messages(), 0u);
  EXPECT_EQ(counters_.messages_redelivered.value(), 0u);
}

}  // namespace
}  // namespace fifobus
