// What a client asks for, through a whole session.
#include "broker/core/sessions/session_requests.h"

#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/support/session_fixture.h"

namespace fifobus {
namespace {

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

// Another worker that has found out who gets a chunk, but not yet offered it.
class UnsubscribeTest : public SessionTest {
 protected:
  void Gather(const std::vector<MessageFields>& messages) {
    std::string frames;
    for (const MessageFields& fields : messages) {
      AppendMessageFrame(fields, frames);
    }
    chunk_ = Chunk::CopyOf(frames);
    other_.Begin(chunk_, no_valve_, PublisherId());
    for (std::string_view rest = chunk_->view(); !rest.empty();) {
      const size_t size = FindFrame(rest, rest.size()).frame_bytes;
      const std::string_view frame = rest.substr(0, size);
      ASSERT_EQ(other_.Add(frame, ReadMessageFrame(frame)),
                Router::Outcome::kRouted);
      rest.remove_prefix(size);
    }
  }
  static MessageFields On(std::string_view topic) {
    MessageFields fields;
    fields.topic = topic;
    return fields;
  }
  void Unsubscribe(const std::string& pattern) {
    pb::Frame frame;
    frame.mutable_unsubscribe()->set_request_id(9);
    frame.mutable_unsubscribe()->set_pattern(pattern);
    Feed(ControlFrame(frame));
  }
  // What the client reads from here on.
  std::vector<std::string> ReadTopics() {
    std::vector<std::string> topics;
    for (pb::Frame frame = Answer();
         frame.member_case() != pb::Frame::MEMBER_NOT_SET; frame = Answer()) {
      if (frame.has_message()) topics.push_back(frame.message().topic());
      if (frame.has_unsubscribed()) topics.push_back("unsubscribed");
      if (frame.has_gap()) topics.push_back("gap");
    }
    return topics;
  }

  ChunkRef chunk_;
  const std::shared_ptr<Valve> no_valve_;
  Router other_{options_, table_, counters_, topic_stats_, nullptr, &retained_};
};

using Topics = std::vector<std::string>;

TEST_F(UnsubscribeTest, NothingThatOnlyThisPatternMatchedFollows) {
  Open();
  Feed(Subscribe("a/*") + Subscribe("b") + Subscribe("a/both"));
  Gather({On("a/x"), On("b"), On("a/both"), On("a/y"), On("b")});
  Unsubscribe("a/*");
  other_.Flush();
  EXPECT_EQ(ReadTopics(), (Topics{"unsubscribed", "b", "a/both", "b"}));
  EXPECT_EQ(egress_->state().delivered, 3u);
}

TEST_F(UnsubscribeTest, NorIfAnotherPatternEndsMeanwhile) {
  Open();
  Feed(Subscribe("a") + Subscribe("b") + Subscribe("c"));
  Gather({On("a"), On("b"), On("c")});
  Unsubscribe("a");
  Unsubscribe("b");
  other_.Flush();
  EXPECT_EQ(ReadTopics(), (Topics{"unsubscribed", "unsubscribed", "c"}));
}

TEST_F(UnsubscribeTest, NorIsALossOfItAnnounced) {
  Open();
  Feed(Subscribe("a") + Subscribe("b"));
  Gather({On("b")});  // by the snapshot of now
  Unsubscribe("a");
  MessageFields expired = On("b");
  expired.expiry_unix_nanos = 1;
  std::string frame;
  AppendMessageFrame(expired, frame);
  ASSERT_EQ(other_.Add(frame, ReadMessageFrame(frame)),
            Router::Outcome::kRouted);
  EXPECT_EQ(ReadTopics(), (Topics{"unsubscribed", "b", "gap"}));
  Unsubscribe("b");
  ASSERT_EQ(other_.Add(frame, ReadMessageFrame(frame)),
            Router::Outcome::kRouted);
  other_.Flush();
  EXPECT_EQ(ReadTopics(), Topics{"unsubscribed"});
}

TEST_F(UnsubscribeTest, WhatWasQueuedBeforeComesBefore) {
  Open();
  Feed(Subscribe("a"));
  EXPECT_EQ(ReadTopics(), Topics{});
  sink_->room = 0;
  Gather({On("a")});
  other_.Flush();
  Unsubscribe("a");
  sink_->room = SIZE_MAX;
  egress_->OnWritable();
  EXPECT_EQ(ReadTopics(), (Topics{"a", "unsubscribed"}));
}

}  // namespace
}  // namespace fifobus
