// Publishers with a name: what is a repeat, and which session has the name.

#include <string>
#include <vector>

#include "broker/core/sessions/publisher_claims.h"
#include "tests/support/logged_session_fixture.h"

namespace fifobus {
namespace {

constexpr auto kStored = pb::Confirm::LEVEL_STORED;

class NamedPublisherTest : public LoggedSessionTest {
 protected:
  ~NamedPublisherTest() override { End(); }

  static std::string Numbered(std::string_view topic, uint64_t sequence) {
    // Its sequence is its confirm_id too.
    return Publish(Stored(topic, sequence, sequence));
  }

  void ExpectConfirm(uint64_t id, uint64_t offset, bool duplicate) {
    const pb::Frame frame = Await();
    EXPECT_EQ(frame.confirm().confirm_id(), id) << frame.ShortDebugString();
    EXPECT_EQ(frame.confirm().level(), kStored) << frame.ShortDebugString();
    EXPECT_EQ(frame.confirm().offset(), offset) << frame.ShortDebugString();
    EXPECT_EQ(frame.confirm().duplicate(), duplicate)
        << frame.ShortDebugString();
  }

  // A second session of the same broker.
  Session& Second() {
    second_ = std::make_unique<Session>(
        8,
        SessionContext{options_, table_, router_, counters_, stats_,
                       on_subscribed_, retained_, groups_, publishers_,
                       /*worker=*/0},
        second_egress_);
    return *second_;
  }
  FeedOutcome FeedSecond(const std::string& bytes) {
    const ChunkRef chunk = Chunk::CopyOf(bytes);
    return second_->OnBytes(chunk, chunk->view()).outcome;
  }
  void End() {
    if (!second_) return;
    second_->EndSubscriptions();
    second_->Release();
    second_.reset();
  }

  std::shared_ptr<FakeSink> second_sink_ = std::make_shared<FakeSink>();
  std::shared_ptr<Egress> second_egress_ = std::make_shared<Egress>(
      ids_.Acquire(), EgressFormat::kFrames, options_, second_sink_, counters_);
  std::unique_ptr<Session> second_;
};

TEST_F(NamedPublisherTest, ARepeatIsNeitherStoredNorDelivered) {
  ServedLog& log = AddLog("orders", "orders/**");
  const auto live = Other(1, "orders/a", EgressFormat::kFrames);
  OpenNamed("till-1");
  const std::string one = Numbered("orders/a", 1);
  const std::string two = Numbered("orders/a", 2);
  const std::string five = Numbered("orders/b", 5);
  Feed(one + two + one + five);
  ExpectConfirm(1, 1, false);
  ExpectConfirm(2, 2, false);
  ExpectConfirm(1, 0, true);
  ExpectConfirm(5, 3, false);
  Feed(five + two);
  ExpectConfirm(5, 3, true);
  ExpectConfirm(2, 0, true);
  EXPECT_EQ(live->written, one + two);
  EXPECT_EQ(counters_.messages_duplicate.value(), 3u);
  EXPECT_EQ(log.duplicates(), 3u);
  EXPECT_EQ(counters_.messages_published.value(), 3u);
  EXPECT_EQ(FramesIn(log), (std::vector<std::string>{one, two, five}));
}

TEST_F(NamedPublisherTest, ARepeatIsConfirmedWhenTheOriginalIsStored) {
  ServedLog& log = AddLog("orders", "**", absl::Hours(1));
  OpenNamed("till-1");
  Feed(Numbered("a", 1));
  Feed(Numbered("a", 1));
  EXPECT_EQ(sink_->written, "");
  log.Close();
  ExpectConfirm(1, 1, false);
  ExpectConfirm(1, 1, true);
}

TEST_F(NamedPublisherTest, EachLogCountsForItself) {
  ServedLog& orders = AddLog("orders", "orders/**");
  ServedLog& rest = AddLog("rest", "**");
  OpenNamed("till-1");
  Feed(Numbered("orders/a", 3) + Numbered("b", 2) + Numbered("b", 3));
  ExpectConfirm(3, 1, false);
  ExpectConfirm(2, 1, false);
  ExpectConfirm(3, 2, false);
  EXPECT_EQ(FramesIn(orders).size(), 1u);
  EXPECT_EQ(FramesIn(rest).size(), 2u);
}

TEST_F(NamedPublisherTest, TheNextSessionIsToldWhereTheNameStands) {
  AddLog("orders", "orders/**");
  AddLog("empty", "empty");
  EXPECT_EQ(OpenNamed("till-1").publisher_marks_size(), 0);
  Feed(Numbered("orders/a", 7));
  ExpectConfirm(7, 1, false);
  session_.Release();
  Second();
  EXPECT_EQ(FeedSecond(NamedHello("till-1")), FeedOutcome::kContinue);
  const SplitFrames split = Split(second_sink_->written);
  const pb::Welcome welcome = Parse(split.frames.at(0)).welcome();
  ASSERT_EQ(welcome.publisher_marks_size(), 1);
  EXPECT_EQ(welcome.publisher_marks(0).log(), "orders");
  EXPECT_EQ(welcome.publisher_marks(0).last_sequence(), 7u);
  EXPECT_EQ(welcome.publisher_marks(0).last_offset(), 1u);
}

TEST_F(NamedPublisherTest, ANewerSessionOfTheNameEndsTheOlderOne) {
  ServedLog& log = AddLog("orders", "**");
  const auto live = Other(1, "a", EgressFormat::kFrames);
  std::vector<std::string> fenced;
  session_.SetFence([&](std::string text) { fenced.push_back(text); });
  OpenNamed("till-1");
  Feed(Numbered("a", 1));
  ExpectConfirm(1, 1, false);
  Second();
  EXPECT_EQ(FeedSecond(NamedHello("till-1") + Numbered("a", 2)),
            FeedOutcome::kContinue);
  ASSERT_EQ(fenced.size(), 1u);
  const std::string both = live->written;
  EXPECT_EQ(Feed(Numbered("a", 3)).outcome, FeedOutcome::kClose);
  const pb::Frame answer = Answer();
  EXPECT_EQ(answer.error().code(), pb::Error::CODE_FENCED);
  EXPECT_EQ(answer.error().text(), fenced[0]);
  EXPECT_EQ(session_.OnFenced(fenced[0]), FeedOutcome::kContinue)
      << "it is over already";
  EXPECT_EQ(live->written, both);
  EXPECT_EQ(counters_.sessions_fenced.value(), 1u);
  EXPECT_EQ(FramesIn(log).size(), 2u);
}

TEST_F(NamedPublisherTest, AFencedSessionThatSaysNothingIsEnded) {
  AddLog("orders", "**");
  pb::Message will;
  will.set_topic("status");
  pb::Frame hello;
  *hello.mutable_hello()->mutable_will() = will;
  hello.mutable_hello()->set_protocol_version(kProtocolVersion);
  hello.mutable_hello()->set_publisher("till-1");
  Feed(ControlFrame(hello));
  EXPECT_TRUE(Answer().has_welcome());
  Second();
  FeedSecond(NamedHello("till-1"));
  EXPECT_EQ(session_.OnFenced("taken"), FeedOutcome::kClose);
  EXPECT_EQ(Answer().error().code(), pb::Error::CODE_FENCED);
  session_.PublishEnd(session_.end_reason());
  EXPECT_EQ(counters_.wills_published.value(), 0u) << "nothing more of it";
}

TEST_F(NamedPublisherTest, AMessageForALogNeedsASequence) {
  ServedLog& log = AddLog("orders", "orders/**");
  OpenNamed("till-1");
  Feed(MessageFrame("other", "1") + MessageFrame("other", "2"));
  EXPECT_EQ(sink_->written, "") << "no log stores that";
  ExpectRefused(MessageFrame("orders/a", "1"), pb::Error::CODE_BAD_FRAME);
  EXPECT_EQ(FramesIn(log).size(), 0u);
}

TEST_F(NamedPublisherTest, MessagesThatNoLogStoresAreNotCompared) {
  AddLog("orders", "orders/**");
  const auto live = Other(1, "other", EgressFormat::kFrames);
  OpenNamed("till-1");
  const std::string frame =
      Publish(Stored("other", 1, 1, pb::Confirm::LEVEL_ACCEPTED));
  Feed(frame + frame);
  EXPECT_EQ(live->written, frame + frame);
  EXPECT_FALSE(Answer().confirm().duplicate());
  EXPECT_FALSE(Answer().confirm().duplicate());
}

TEST_F(NamedPublisherTest, ANameThatIsNoLevelIsRefused) {
  ExpectRefused(NamedHello("till/1"), pb::Error::CODE_BAD_FRAME);
}

TEST_F(NamedPublisherTest, ALogWithTooManyNamesStoresNothingOfANewOne) {
  options_.log_publishers_max = 1;
  ServedLog& log = AddLog("orders", "**");
  const auto live = Other(1, "a", EgressFormat::kFrames);
  OpenNamed("till-1");
  Feed(Numbered("a", 1));
  ExpectConfirm(1, 1, false);
  Second();
  live->written.clear();
  FeedSecond(NamedHello("till-2") + Numbered("a", 1));
  const SplitFrames split = Split(second_sink_->written);
  ASSERT_EQ(split.frames.size(), 2u);
  const pb::Confirm confirm = Parse(split.frames[1]).confirm();
  EXPECT_EQ(confirm.level(), pb::Confirm::LEVEL_ACCEPTED);
  EXPECT_EQ(confirm.failure(), pb::Confirm::FAILURE_TOO_MANY_PUBLISHERS);
  EXPECT_EQ(live->written, Numbered("a", 1));
  EXPECT_EQ(FramesIn(log).size(), 1u);
}

TEST_F(NamedPublisherTest, AnExpiredMessageTakesNoSequence) {
  ServedLog& log = AddLog("orders", "**");
  OpenNamed("till-1");
  MessageFields late = Stored("a", 1, 9);
  late.expiry_unix_nanos = 1;
  Feed(Publish(late) + Numbered("a", 2));
  EXPECT_EQ(Answer().confirm().confirm_id(), 1u);
  ExpectConfirm(2, 1, false);
  EXPECT_EQ(FramesIn(log).size(), 1u);
}

TEST_F(NamedPublisherTest, APongIsAlsoAboutWhatEarlierSessionsStored) {
  ServedLog& log = AddLog("orders", "**", absl::Hours(1));
  OpenNamed("till-1");
  Feed(Numbered("a", 1));
  session_.Release();
  Second();
  FeedSecond(NamedHello("till-1") + PingFor(kStored, 4));
  EXPECT_EQ(Split(second_sink_->written).frames.size(), 1u);
  second_sink_->written.clear();
  log.Close();
  tasks_.RunUntil([this] { return !second_sink_->written.empty(); });
  EXPECT_EQ(Parse(Split(second_sink_->written).frames.at(0)).pong().level(),
            kStored);
}

TEST(PublisherClaims, ANameIsForgottenWithItsLastSession) {
  PublisherClaims claims;
  auto first = claims.Find("till-1");
  auto second = claims.Find("till-1");
  EXPECT_EQ(first, second);
  claims.Return("till-1", std::move(first));
  EXPECT_EQ(claims.size(), 1u);
  claims.Return("till-1", std::move(second));
  EXPECT_EQ(claims.size(), 0u);
}

TEST(PublisherClaims, TheLastToTakeANameHasIt) {
  PublisherClaim claim;
  int fences = 0;
  claim.Take(1, [&] { ++fences; });
  claim.Take(2, nullptr);
  EXPECT_EQ(fences, 1);
  EXPECT_FALSE(PublisherClaim::Turn(claim, 1).is_owner());
  EXPECT_TRUE(PublisherClaim::Turn(claim, 2).is_owner());
  claim.GiveUp(1);
  EXPECT_TRUE(PublisherClaim::Turn(claim, 2).is_owner());
  claim.GiveUp(2);
  EXPECT_FALSE(PublisherClaim::Turn(claim, 2).is_owner());
}

TEST(PublisherNames, AreOneLevelOfATopic) {
  EXPECT_EQ(PublisherNameFault("till-1"), "");
  EXPECT_EQ(PublisherNameFault("a/b"),
            "the publisher's name must be one level of a topic");
  EXPECT_NE(PublisherNameFault("$sys"), "");
  EXPECT_NE(PublisherNameFault("a b"), "");
  EXPECT_NE(PublisherNameFault(std::string(256, 'x')), "");
}

}  // namespace
}  // namespace fifobus
