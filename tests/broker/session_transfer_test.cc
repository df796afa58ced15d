#include "broker/core/sessions/session_transfer.h"

#include <memory>
#include <string>
#include <vector>

#include "broker/core/delivery/egress_transfer.h"
#include "gtest/gtest.h"
#include "tests/support/filled_state.h"
#include "tests/support/session_fixture.h"
#include "tests/support/state_carrier.h"

namespace fifobus {
namespace {

// A broker's core with one session.
class Core : public SessionTest {
 public:
  Core() {
    session_.SetFence([this](std::string text) { fences.push_back(text); });
  }
  void TestBody() override {}

  using SessionTest::Answer;
  using SessionTest::Confirmed;
  using SessionTest::Feed;
  using SessionTest::Hello;
  using SessionTest::Other;
  using SessionTest::Publish;
  using SessionTest::Retain;
  using SessionTest::Subscribe;

  using SessionTest::counters_;
  using SessionTest::egress_;
  using SessionTest::options_;
  using SessionTest::publishers_;
  using SessionTest::router_;
  using SessionTest::session_;
  using SessionTest::sink_;
  using SessionTest::table_;

  std::vector<std::string> fences;
};

class SessionTransferTest : public testing::Test {
 protected:
  void Feed(const std::string& bytes) {
    ASSERT_EQ(core_->Feed(bytes).outcome, FeedOutcome::kContinue);
  }
  void Open() {
    Feed(Core::Hello());
    core_->sink_->written.clear();
  }

  void Upgrade() {
    StateCarrier carrier;
    pb::state::SessionLink state;
    *state.mutable_egress() = EgressTransfer::Export(
        *core_->egress_, carrier.old_chunks, carrier.old_ingresses);
    *state.mutable_session() =
        SessionTransfer::Export(core_->session_, carrier.old_chunks);
    state = carrier.Carry(state);
    old_ = std::move(core_);
    core_ = std::make_unique<Core>();
    EgressTransfer::Restore(state.egress(), carrier.new_chunks,
                            carrier.new_ingresses, core_->egress_);
    SessionTransfer::Restore(state.session(), carrier.new_chunks,
                             core_->session_);
    EXPECT_EQ(core_->sink_->written, "") << "the client is told nothing";
    EXPECT_EQ(Stats(*old_).ShortDebugString(),
              Stats(*core_).ShortDebugString());
    old_.reset();
  }

  static pb::StatsReply Stats(const Core& core) {
    pb::StatsReply reply;
    core.session_.AppendStats(reply);
    pb::StatsReply::Session& session = *reply.mutable_sessions(0);
    std::sort(session.mutable_patterns()->begin(),
              session.mutable_patterns()->end());
    return reply;
  }

  // What a message of somebody else brings to the client.
  std::string Receive(const std::string& topic) {
    const ChunkRef chunk = Chunk::CopyOf(MessageFrame(topic, "payload"));
    const std::shared_ptr<Valve> no_valve;
    core_->router_.Begin(chunk, no_valve, {});
    EXPECT_EQ(
        core_->router_.Add(chunk->view(), ReadMessageFrame(chunk->view())),
        Router::Outcome::kRouted);
    core_->router_.Flush();
    return std::exchange(core_->sink_->written, "");
  }

  std::unique_ptr<Core> old_;
  std::unique_ptr<Core> core_ = std::make_unique<Core>();
};

TEST_F(SessionTransferTest, OneThatAwaitsHelloIsGreetedAfterwards) {
  Upgrade();
  Feed(Core::Hello());
  EXPECT_TRUE(core_->Answer().has_welcome());
}

TEST_F(SessionTransferTest, OneThatWasGreetedIsNotGreetedAgain) {
  Open();
  Upgrade();
  EXPECT_EQ(core_->Feed(Core::Hello()).outcome, FeedOutcome::kClose);
  EXPECT_EQ(core_->Answer().error().code(), pb::Error::CODE_UNEXPECTED_FRAME);
}

TEST_F(SessionTransferTest, ItsSubscriptionsGoOnAndMayEnd) {
  Open();
  Feed(Core::Subscribe("a/*", 1));
  Feed(Core::Subscribe("b/**", 2));
  core_->sink_->written.clear();
  Upgrade();
  EXPECT_EQ(Receive("a/1"), MessageFrame("a/1", "payload"));
  EXPECT_EQ(Receive("b/1/2"), MessageFrame("b/1/2", "payload"));
  EXPECT_EQ(Receive("c"), "");
  pb::Frame end;
  end.mutable_unsubscribe()->set_request_id(3);
  end.mutable_unsubscribe()->set_pattern("a/*");
  Feed(ControlFrame(end));
  EXPECT_EQ(core_->Answer().unsubscribed().request_id(), 3u);
  EXPECT_EQ(Receive("a/1"), "");
  EXPECT_EQ(Receive("b/1"), MessageFrame("b/1", "payload"));
}

TEST_F(SessionTransferTest, ItsCountersGoOn) {
  Open();
  Feed(MessageFrame("a", "one"));
  Upgrade();
  Feed(MessageFrame("a", "two"));
  EXPECT_EQ(Stats(*core_).sessions(0).published(), 2u);
}

TEST_F(SessionTransferTest, ItsWillIsPublishedWhenItEnds) {
  pb::Message will;
  will.set_topic("status");
  will.set_payload("gone");
  Feed(Core::Hello(kProtocolVersion, will));
  core_->sink_->written.clear();
  Upgrade();
  const auto other = core_->Other(5, "**", EgressFormat::kFrames);
  const auto presence =
      core_->Other(6, "$sys/clients/**", EgressFormat::kFrames);
  core_->session_.PublishEnd("");
  EXPECT_EQ(Parse(other->written).message().payload(), "gone");
  // Under the name that the client gave the old broker.
  EXPECT_NE(presence->written.find("test?name"), std::string::npos);
  EXPECT_EQ(core_->counters_.wills_published.value(), 1u);
}

TEST_F(SessionTransferTest, AGoodbyeThatWasSaidIsRemembered) {
  pb::Message will;
  will.set_topic("status");
  Feed(Core::Hello(kProtocolVersion, will));
  core_->sink_->written.clear();
  pb::Frame goodbye;
  goodbye.mutable_goodbye()->set_taken_along(3);
  Feed(ControlFrame(goodbye));
  Upgrade();
  const auto other = core_->Other(5, "**", EgressFormat::kFrames);
  const auto presence =
      core_->Other(6, "$sys/clients/**", EgressFormat::kFrames);
  core_->session_.PublishEnd("");
  EXPECT_EQ(other->written, "");
  EXPECT_NE(presence->written.find("goodbye"), std::string::npos);
}

TEST_F(SessionTransferTest, ThePolicyThatTheRulesMaySettleIsStillOpen) {
  Open();
  Upgrade();
  TopicRule rule;
  rule.pattern = "slow/**";
  rule.overflow = Overflow::kLatest;
  core_->table_.SetRules(TopicRules({}, {rule}));
  Feed(Core::Subscribe("slow/a"));
  EXPECT_EQ(core_->egress_->state().overflow, Overflow::kLatest);
}

TEST_F(SessionTransferTest, APolicyThatWasChosenStays) {
  pb::Frame hello;
  hello.mutable_hello()->set_protocol_version(kProtocolVersion);
  hello.mutable_hello()->set_overflow(pb::OVERFLOW_BLOCK);
  Feed(ControlFrame(hello));
  core_->sink_->written.clear();
  Upgrade();
  TopicRule rule;
  rule.pattern = "slow/**";
  rule.overflow = Overflow::kLatest;
  core_->table_.SetRules(TopicRules({}, {rule}));
  Feed(Core::Subscribe("slow/a"));
  EXPECT_EQ(core_->egress_->state().overflow, Overflow::kBlock);
}

TEST_F(SessionTransferTest, ItHasItsPublishersNameUntilAnotherTakesIt) {
  pb::Frame hello;
  hello.mutable_hello()->set_protocol_version(kProtocolVersion);
  hello.mutable_hello()->set_publisher("till-1");
  Feed(ControlFrame(hello));
  core_->sink_->written.clear();
  Upgrade();
  Feed(MessageFrame("a", "one"));
  EXPECT_TRUE(core_->fences.empty());
  const auto claim = core_->publishers_.Find("till-1");
  claim->Take(/*session=*/99, nullptr);
  ASSERT_EQ(core_->fences.size(), 1u);
  EXPECT_EQ(core_->Feed(MessageFrame("a", "two")).outcome, FeedOutcome::kClose);
  EXPECT_EQ(core_->Answer().error().code(), pb::Error::CODE_FENCED);
}

TEST_F(SessionTransferTest, OneThatHasLostItsNameIsFencedAfterwards) {
  pb::Frame hello;
  hello.mutable_hello()->set_protocol_version(kProtocolVersion);
  hello.mutable_hello()->set_publisher("till-1");
  Feed(ControlFrame(hello));
  core_->sink_->written.clear();
  core_->publishers_.Find("till-1")->Take(/*session=*/99, nullptr);
  Upgrade();
  EXPECT_EQ(core_->fences.size(), 1u);
}

TEST_F(SessionTransferTest, OneThatIsOverSaysWhy) {
  Open();
  ASSERT_EQ(core_->Feed("\xff\xff\xff\xff\xff\xff").outcome,
            FeedOutcome::kClose);
  const std::string reason = core_->session_.end_reason();
  core_->sink_->written.clear();
  Upgrade();
  EXPECT_NE(reason, "");
  EXPECT_EQ(core_->session_.end_reason(), reason);
}

// What is of groups and logs has tests of its own: state_round_trip_test.cc.
TEST_F(SessionTransferTest, EachFieldOfItsStateIsKept) {
  for (int round = 0; round < StateFiller::kRounds; ++round) {
    StateCarrier carrier;
    StateFiller filler(round);
    filler.SetNumber("ChunkRange.chunk", [] { return 1; });
    filler.SetNumber("ChunkRange.begin", [] { return 0; });
    filler.SetNumber("ChunkRange.size", [] { return 4; });
    carrier.new_chunks.Add(1, 0, Chunk::CopyOf("will"));
    pb::state::Session state;
    filler.Fill(state);
    state.mutable_requests()->clear_memberships();
    state.mutable_requests()->clear_log_subscriptions();
    state.clear_pending();
    Core core;
    SessionTransfer::Restore(state, carrier.new_chunks, core.session_);
    pb::state::Session again =
        SessionTransfer::Export(core.session_, carrier.old_chunks);
    again.mutable_requests()->clear_memberships();
    again.mutable_requests()->clear_log_subscriptions();
    again.clear_pending();
    ExpectSameState(state, again);
  }
}

}  // namespace
}  // namespace fifobus
