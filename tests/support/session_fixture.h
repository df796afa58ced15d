#ifndef FIFOBUS_TESTS_SUPPORT_SESSION_FIXTURE_H_
#define FIFOBUS_TESTS_SUPPORT_SESSION_FIXTURE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "broker/core/sessions/session.h"
#include "gtest/gtest.h"
#include "proto/version.h"
#include "tests/support/core_fakes.h"
#include "tests/support/group_fakes.h"

namespace fifobus {

// Stats that name one topic.
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

// One session and a core around it, without an operating system.
class SessionTest : public testing::Test {
 protected:
  SessionTest() { session_.SetValve(std::make_shared<FakeValve>()); }
  // A session's egress and its memberships hold each other until it ends, as a
  // group and its egress do.
  ~SessionTest() override {
    session_.EndSubscriptions();
    session_.EndMemberships();
    session_.Release();
    groups_.EndAll();
  }

  const FeedResult& Feed(const std::string& bytes) {
    const ChunkRef chunk = Chunk::CopyOf(bytes);
    result_ = session_.OnBytes(chunk, {chunk->bytes(), bytes.size()});
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
  TopicStats topic_stats_{options_.topic_stats_max};
  Router router_{options_,     table_,  counters_,
                 topic_stats_, nullptr, &retained_};
  NoStats stats_;
  IdPool ids_;
  FakeGroupHost host_;
  GroupTable groups_{options_, table_, ids_, counters_, host_};
  PublisherClaims publishers_;
  int subscribed_ = 0;
  const std::function<void()> on_subscribed_ = [this] { ++subscribed_; };
  std::shared_ptr<FakeSink> sink_ = std::make_shared<FakeSink>();
  std::shared_ptr<Egress> egress_ = std::make_shared<Egress>(
      ids_.Acquire(), EgressFormat::kFrames, options_, sink_, counters_);
  Session session_{
      7,
      {options_, table_, router_, counters_, stats_, on_subscribed_, retained_,
       groups_, publishers_, /*worker=*/0},
      egress_};
};

}  // namespace fifobus

#endif  // FIFOBUS_TESTS_SUPPORT_SESSION_FIXTURE_H_
