#include "broker/core/sessions/tap_feed.h"

#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/support/core_fakes.h"

namespace fifobus {
namespace {

class TapFeedTest : public testing::Test {
 protected:
  TapFeedTest() {
    feed_.SetValve(std::make_shared<FakeValve>());
    table_.Add("greetings", egress_);
  }

  // Feeds bytes as an ingress would: with the rest of before in front.
  void Write(const std::string& bytes) {
    kept_ += bytes;
    const ChunkRef chunk = Chunk::CopyOf(kept_);
    const FeedResult result =
        feed_.OnBytes(chunk, {chunk->bytes(), kept_.size()});
    EXPECT_EQ(result.outcome, FeedOutcome::kContinue);
    kept_.erase(0, result.bytes_taken);
  }

  void HangUp() {
    EXPECT_EQ(feed_.OnHangUp(kept_), FeedOutcome::kContinue);
    kept_.clear();
  }

  std::vector<std::string> Payloads() {
    std::vector<std::string> payloads;
    for (const std::string& frame : Split(sink_->written).frames) {
      payloads.push_back(Parse(frame).message().payload());
    }
    sink_->written.clear();
    return payloads;
  }

  using Lines = std::vector<std::string>;

  BrokerOptions options_;
  Counters counters_;
  SubscriptionTable table_;
  TopicStats topic_stats_{options_.topic_stats_max};
  Router router_{options_, table_, counters_, topic_stats_};
  std::shared_ptr<FakeSink> sink_ = std::make_shared<FakeSink>();
  std::shared_ptr<Egress> egress_ = std::make_shared<Egress>(
      0, EgressFormat::kFrames, options_, sink_, counters_);
  int drained_ = 0;
  TapFeed feed_{"greetings", /*owner=*/0, options_,
                router_,     counters_,   [this] { ++drained_; }};
  std::string kept_;
};

TEST_F(TapFeedTest, EachLineIsOneMessage) {
  Write("one\ntwo\n\nfour\n");
  EXPECT_EQ(Payloads(), (Lines{"one", "two", "", "four"}));
  EXPECT_GE(drained_, 1);
}

TEST_F(TapFeedTest, LinesAreNumberedAndStamped) {
  Write("one\n");
  Write("two\n");
  const SplitFrames split = Split(sink_->written);
  ASSERT_EQ(split.frames.size(), 2u);
  const pb::Message second = Parse(split.frames[1]).message();
  EXPECT_EQ(second.topic(), "greetings");
  EXPECT_EQ(second.sequence(), 2u);
  EXPECT_GT(second.publish_time_unix_nanos(), 0u);
}

TEST_F(TapFeedTest, ALineMayComeInParts) {
  Write("Hel");
  EXPECT_EQ(Payloads(), Lines());
  Write("lo\nnext");
  EXPECT_EQ(Payloads(), (Lines{"Hello"}));
  EXPECT_EQ(kept_, "next");
}

TEST_F(TapFeedTest, AtHangUpAnUnterminatedRestIsAMessageToo) {
  Write("rest");
  HangUp();
  EXPECT_EQ(Payloads(), (Lines{"rest"}));
  HangUp();
  EXPECT_EQ(Payloads(), Lines());
}

TEST_F(TapFeedTest, TheLongestLineIs4096BytesWithItsNewline) {
  const std::string longest(4095, 'x');
  Write(longest + "\n" + longest + "y\n" + "next\n");
  EXPECT_EQ(Payloads(), (Lines{longest, "next"}));
  EXPECT_EQ(counters_.lines_refused.value(), 1u);
}

TEST_F(TapFeedTest, ALongLineIsRefusedOnceHoweverItComes) {
  Write(std::string(5000, 'x'));
  EXPECT_EQ(kept_, "");
  Write(std::string(100000, 'x'));
  Write("end\ngood\n");
  EXPECT_EQ(Payloads(), (Lines{"good"}));
  EXPECT_EQ(counters_.lines_refused.value(), 1u);
}

TEST_F(TapFeedTest, HangUpEndsALineThatIsBeingSkipped) {
  Write(std::string(5000, 'x'));
  HangUp();
  Write("good\n");
  EXPECT_EQ(Payloads(), (Lines{"good"}));
}

TEST_F(TapFeedTest, AWriterThatHasLeftHasEndedItsLine) {
  // Three have come and gone while the pipe was not read.
  feed_.OnWritersLeft(3);
  feed_.OnWritersLeft(3);  // the same once more
  feed_.OnWritersLeft(7);
  feed_.OnWritersLeft(12);
  Write("one");
  EXPECT_EQ(Payloads(), (Lines{"one"}));
  Write("two\nthree");
  EXPECT_EQ(Payloads(), (Lines{"two", "three"}));
  EXPECT_EQ(kept_, "");
  // And behind a rest that was read: the position goes on.
  Write("x\nbeg");
  EXPECT_EQ(Payloads(), (Lines{"x"}));
  feed_.OnWritersLeft(2);
  Write(
      "un"
      "next\n");
  EXPECT_EQ(Payloads(), (Lines{"begun", "next"}));
}

TEST_F(TapFeedTest, AWriterThatHasLeftEndsALineThatIsBeingSkipped) {
  feed_.OnWritersLeft(5000);
  Write(std::string(5000, 'x') + "good\n");
  EXPECT_EQ(Payloads(), (Lines{"good"}));
  EXPECT_EQ(counters_.lines_refused.value(), 1u);
}

TEST_F(TapFeedTest, AHangUpCountsAsTakenForWhatEndsLater) {
  Write("rest");
  HangUp();
  feed_.OnWritersLeft(1);
  Write("ab\n");
  EXPECT_EQ(Payloads(), (Lines{"rest", "a", "b"}));
}

TEST_F(TapFeedTest, LinesWaitWhileThereIsNoSubscriber) {
  table_.Remove("greetings", 0);
  EXPECT_EQ(feed_.Admit(100, 65536), Feed::Admission::kRest);
  EXPECT_EQ(feed_.Admit(32767, 65536), Feed::Admission::kRest);
  EXPECT_EQ(feed_.Admit(32768, 65536), Feed::Admission::kRead);
  table_.Add("*", egress_);
  EXPECT_EQ(feed_.Admit(100, 65536), Feed::Admission::kRead);
}

}  // namespace
}  // namespace fifobus
