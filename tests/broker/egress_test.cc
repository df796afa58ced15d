#include "broker/core/delivery/egress.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "tests/support/core_fakes.h"

namespace fifobus {
namespace {

const std::string kFrame = MessageFrame("a", std::string(90, 'x'));

class EgressTest : public testing::Test {
 protected:
  EgressTest() {
    options_.egress_queue_bytes_max = 1000;
    options_.copied_rest_bytes_max = 100;
    egress_ = std::make_unique<Egress>(0, EgressFormat::kFrames, options_,
                                       sink_, counters_);
  }

  void Offer(const std::string& bytes,
             const std::shared_ptr<Valve>& valve = nullptr) {
    const ChunkRef chunk = Chunk::CopyOf(bytes);
    const Slice slice = {chunk->bytes(), bytes.size()};
    (void)egress_->Offer(chunk, {&slice, 1}, valve);
  }

  // The reader takes so much, and the worker hears of it.
  void Read(size_t bytes) {
    sink_->room = bytes;
    egress_->OnWritable();
    sink_->room = 0;
  }

  void SetOverflow(Overflow overflow) {
    egress_->SetPolicy({overflow, {options_.egress_queue_bytes_max, 0}});
  }

  // Offers messages until the valve is paused and the stall timeout has
  // passed. Returns how many it offered.
  uint64_t FillAndStall() {
    sink_->room = 0;
    uint64_t offered = 0;
    for (; valve_->pauses == 0; ++offered) Offer(kFrame, valve_);
    egress_->OnStallTimeout();
    EXPECT_EQ(valve_->pauses, 0);
    return offered;
  }

  // What the reader has got: messages, and those announced as lost, by reason.
  struct Tally {
    uint64_t messages = 0;
    std::map<pb::Gap::Reason, uint64_t> lost;
    std::vector<std::string> payloads;
    pb::Error::Code error = pb::Error::CODE_UNSPECIFIED;
  };
  Tally Count() const {
    Tally tally;
    const SplitFrames split = Split(sink_->written);
    EXPECT_EQ(split.rest, "");
    for (const std::string& frame : split.frames) {
      const pb::Frame parsed = Parse(frame);
      if (parsed.has_message()) {
        ++tally.messages;
        tally.payloads.push_back(parsed.message().payload());
      }
      if (parsed.has_gap()) {
        tally.lost[parsed.gap().reason()] += parsed.gap().messages();
      }
      if (parsed.has_error()) tally.error = parsed.error().code();
    }
    return tally;
  }

  BrokerOptions options_;
  Counters counters_;
  std::shared_ptr<FakeSink> sink_ = std::make_shared<FakeSink>();
  std::shared_ptr<FakeValve> valve_ = std::make_shared<FakeValve>();
  std::unique_ptr<Egress> egress_;
};

TEST_F(EgressTest, OneThatHasNotReadForTheStallTimeoutHoldsUpNobody) {
  options_.stall_timeout = absl::Milliseconds(1);
  Egress egress(1, EgressFormat::kFrames, options_, sink_, counters_);
  const ChunkRef chunk = Chunk::CopyOf(kFrame);
  const Slice slice = {chunk->bytes(), kFrame.size()};
  sink_->room = 0;
  (void)egress.Offer(chunk, {&slice, 1}, valve_);
  absl::SleepFor(absl::Milliseconds(2));
  while (!egress.state().stalled && valve_->pauses == 0) {
    (void)egress.Offer(chunk, {&slice, 1}, valve_);
  }
  EXPECT_EQ(valve_->pauses, 0);
  EXPECT_GE(egress.state().dropped, 1u);

  // It reads again, and is trusted again.
  sink_->room = 1u << 20;
  egress.OnWritable();
  EXPECT_FALSE(egress.state().stalled);
  EXPECT_EQ(egress.state().queued_bytes, 0u);
}

// The news of room may be on its way to another worker.
TEST_F(EgressTest, OneThatReadsAgainIsNotTakenForStuck) {
  options_.stall_timeout = absl::Milliseconds(1);
  Egress egress(1, EgressFormat::kFrames, options_, sink_, counters_);
  const ChunkRef chunk = Chunk::CopyOf(kFrame);
  const Slice slice = {chunk->bytes(), kFrame.size()};
  sink_->room = 0;
  while (egress.state().queued_bytes + kFrame.size() <= 1000) {
    (void)egress.Offer(chunk, {&slice, 1}, valve_);
  }
  absl::SleepFor(absl::Milliseconds(2));
  sink_->room = 1u << 20;
  (void)egress.Offer(chunk, {&slice, 1}, valve_);
  EXPECT_FALSE(egress.state().stalled);
  EXPECT_EQ(egress.state().dropped, 0u);
  EXPECT_EQ(egress.state().queued_bytes, 0u);
  EXPECT_EQ(valve_->pauses, 0);
}

TEST_F(EgressTest, WritesAtOnceWhileThereIsRoom) {
  Offer("abc");
  EXPECT_EQ(sink_->written, "abc");
  EXPECT_EQ(sink_->writes, 1);
  EXPECT_EQ(egress_->state().queued_bytes, 0u);
}

TEST_F(EgressTest, KeepsOrderBehindWhatIsQueued) {
  sink_->room = 2;
  Offer("abc");
  sink_->room = SIZE_MAX;
  Offer("def");  // must not overtake "c"
  EXPECT_EQ(sink_->written, "ab");
  egress_->OnWritable();
  EXPECT_EQ(sink_->written, "abcdef");
}

TEST_F(EgressTest, SlicesOfOneOfferAreOneWrite) {
  const ChunkRef chunk = Chunk::CopyOf("abcdef");
  const Slice slices[] = {{chunk->bytes(), 2}, {chunk->bytes() + 4, 2}};
  (void)egress_->Offer(chunk, slices, nullptr);
  EXPECT_EQ(sink_->written, "abef");
  EXPECT_EQ(sink_->writes, 1);
}

TEST_F(EgressTest, SmallRestsDoNotPinTheChunk) {
  sink_->room = 0;
  const ChunkRef chunk = Chunk::CopyOf(std::string(500, 'x'));
  const Slice small = {chunk->bytes(), 100};
  (void)egress_->Offer(chunk, {&small, 1}, nullptr);
  EXPECT_TRUE(chunk.unique());
  const Slice large = {chunk->bytes(), 101};
  (void)egress_->Offer(chunk, {&large, 1}, nullptr);
  EXPECT_FALSE(chunk.unique());
}

TEST_F(EgressTest, AFullQueuePausesItsFeederUntilItIsBelowHalf) {
  sink_->room = 0;
  while (valve_->pauses == 0) Offer(kFrame, valve_);
  EXPECT_GT(egress_->state().queued_bytes, 1000u);
  EXPECT_EQ(sink_->clocks_started, 1);
  Read(400);
  EXPECT_EQ(valve_->pauses, 1);
  Read(300);
  EXPECT_LT(egress_->state().queued_bytes, 500u);
  EXPECT_EQ(valve_->pauses, 0);
  EXPECT_EQ(egress_->state().dropped, 0u);
}

TEST_F(EgressTest, EachFeederIsPausedOnce) {
  sink_->room = 0;
  const auto other = std::make_shared<FakeValve>();
  for (int i = 0; i < 20; ++i) Offer(kFrame, i % 2 == 0 ? valve_ : other);
  EXPECT_EQ(valve_->pauses, 1);
  EXPECT_EQ(other->pauses, 1);
  Read(SIZE_MAX);
  EXPECT_EQ(valve_->pauses, 0);
  EXPECT_EQ(other->pauses, 0);
}

TEST_F(EgressTest, AfterTheStallTimeoutTheOldestAreDroppedAndNobodyIsPaused) {
  sink_->room = 0;
  while (valve_->pauses == 0) Offer(kFrame, valve_);
  egress_->OnStallTimeout();
  EXPECT_TRUE(egress_->state().stalled);
  EXPECT_EQ(valve_->pauses, 0);
  EXPECT_LE(egress_->state().queued_bytes, 1000u);
  const uint64_t dropped = egress_->state().dropped;
  EXPECT_GE(dropped, 1u);
  Offer(kFrame, valve_);
  EXPECT_EQ(valve_->pauses, 0);
  EXPECT_EQ(egress_->state().dropped, dropped + 1);
  EXPECT_EQ(counters_.messages_dropped.value(), dropped + 1);
}

TEST_F(EgressTest, AStalledEgressRecoversBelowHalfAndTellsTheGap) {
  sink_->room = 0;
  int offered = 0;
  for (; offered < 30; ++offered) {
    Offer(kFrame, valve_);
    if (valve_->pauses > 0) egress_->OnStallTimeout();
  }
  const uint64_t dropped = egress_->state().dropped;
  Read(SIZE_MAX);
  EXPECT_FALSE(egress_->state().stalled);
  uint64_t delivered = 0;
  uint64_t told = 0;
  for (const std::string& frame : Split(sink_->written).frames) {
    const pb::Frame parsed = Parse(frame);
    delivered += parsed.has_message() ? 1 : 0;
    told += parsed.gap().messages();
  }
  EXPECT_EQ(told, dropped);
  EXPECT_EQ(delivered + told, static_cast<uint64_t>(offered));
}

TEST_F(EgressTest, ATimeoutOfAnEarlierSpellStallsNobody) {
  sink_->room = 0;
  while (valve_->pauses == 0) Offer(kFrame, valve_);
  Read(SIZE_MAX);
  while (valve_->pauses == 0) Offer(kFrame, valve_);
  EXPECT_EQ(sink_->clocks_started, 1);
  egress_->OnStallTimeout();  // of the first spell
  EXPECT_FALSE(egress_->state().stalled);
  EXPECT_EQ(sink_->clocks_started, 2);
  egress_->OnStallTimeout();
  EXPECT_TRUE(egress_->state().stalled);
}

TEST_F(EgressTest, ASubscriberThatWouldPauseItselfIsStalledAtOnce) {
  egress_->SetOwnValve(valve_);
  sink_->room = 0;
  for (int i = 0; i < 20; ++i) Offer(kFrame, valve_);
  EXPECT_EQ(valve_->pauses, 0);
  EXPECT_TRUE(egress_->state().stalled);
}

TEST_F(EgressTest, WithoutAReaderItKeepsTheNewestAndPausesNobody) {
  egress_->ReaderLeft();
  for (int i = 0; i < 30; ++i) Offer(kFrame, valve_);
  EXPECT_EQ(sink_->writes, 0);
  EXPECT_EQ(valve_->pauses, 0);
  EXPECT_LE(egress_->state().queued_bytes, 1000u);
  egress_->ReaderCame();
  EXPECT_FALSE(egress_->state().stalled);
  EXPECT_EQ(Split(sink_->written).rest, "");
}

TEST_F(EgressTest, AReaderThatLeavesWhileItPausesOthersSetsThemFree) {
  sink_->room = 0;
  while (valve_->pauses == 0) Offer(kFrame, valve_);
  egress_->ReaderLeft();
  EXPECT_EQ(valve_->pauses, 0);
}

TEST_F(EgressTest, ABrokenPipeIsNotWrittenAgain) {
  sink_->room = 1;
  sink_->has_reader = false;
  Offer("abc");
  Offer("def");
  EXPECT_EQ(sink_->writes, 1);
}

TEST_F(EgressTest, CloseSetsFeedersFreeAndForgets) {
  sink_->room = 0;
  while (valve_->pauses == 0) Offer(kFrame, valve_);
  egress_->Close();
  EXPECT_EQ(valve_->pauses, 0);
  EXPECT_EQ(egress_->state().queued_bytes, 0u);
  const int writes = sink_->writes;
  sink_->room = SIZE_MAX;
  Offer("abc");
  egress_->OnWritable();
  EXPECT_EQ(sink_->writes, writes);
  EXPECT_EQ(egress_->OfferControl("x"), Egress::ControlOutcome::kClosed);
  EXPECT_EQ(sink_.use_count(), 1);
}

TEST_F(EgressTest, DropNewestKeepsWhatWasQueuedFirst) {
  SetOverflow(Overflow::kDropNewest);
  const uint64_t kept = FillAndStall();
  EXPECT_EQ(egress_->state().dropped, 0u);
  for (int i = 0; i < 5; ++i) Offer(MessageFrame("a", "late"), valve_);
  EXPECT_EQ(valve_->pauses, 0);
  Read(SIZE_MAX);
  EXPECT_FALSE(egress_->state().stalled);
  sink_->room = SIZE_MAX;
  Offer(MessageFrame("a", "afterwards"), valve_);
  Tally tally = Count();
  EXPECT_EQ(tally.messages, kept + 1);
  EXPECT_EQ(tally.payloads.back(), "afterwards");
  EXPECT_EQ(tally.lost[pb::Gap::REASON_OVERFLOW], 5u);
  EXPECT_EQ(counters_.messages_dropped.value(), 5u);
  EXPECT_TRUE(Parse(*(Split(sink_->written).frames.end() - 2)).has_gap());
}

TEST_F(EgressTest, LatestKeepsOneMessageOfEachTopic) {
  SetOverflow(Overflow::kLatest);
  uint64_t offered = FillAndStall();
  for (int i = 0; i < 50; ++i, offered += 2) {
    Offer(MessageFrame("a", std::to_string(i) + std::string(90, 'x')), valve_);
    Offer(MessageFrame("b", std::to_string(i) + std::string(90, 'y')), valve_);
    EXPECT_LE(egress_->state().queued_bytes, 1000u);
  }
  EXPECT_EQ(valve_->pauses, 0);
  Read(SIZE_MAX);
  Tally tally = Count();
  EXPECT_EQ(tally.payloads.back(), "49" + std::string(90, 'y'));
  EXPECT_EQ(tally.lost.size(), 1u);
  EXPECT_EQ(tally.messages + tally.lost[pb::Gap::REASON_CONFLATED], offered);
  EXPECT_LT(tally.messages, 20u);
  EXPECT_EQ(counters_.messages_conflated.value(),
            tally.lost[pb::Gap::REASON_CONFLATED]);
}

TEST_F(EgressTest, LatestOfMoreTopicsThanFitDropsTheOldestOfThem) {
  SetOverflow(Overflow::kLatest);
  uint64_t offered = FillAndStall();
  for (int i = 0; i < 50; ++i, ++offered) {
    Offer(MessageFrame("t/" + std::to_string(i), std::string(90, 'x')));
    EXPECT_LE(egress_->state().queued_bytes, 1000u);
  }
  Read(SIZE_MAX);
  Tally tally = Count();
  EXPECT_GT(tally.lost[pb::Gap::REASON_OVERFLOW], 0u);
  EXPECT_EQ(tally.messages + tally.lost[pb::Gap::REASON_OVERFLOW] +
                tally.lost[pb::Gap::REASON_CONFLATED],
            offered);
}

TEST_F(EgressTest, DisconnectSaysWhyAndEndsWhenThatIsRead) {
  SetOverflow(Overflow::kDisconnect);
  sink_->room = 10;
  Offer(kFrame, valve_);
  const uint64_t offered = 1 + FillAndStall();
  EXPECT_EQ(sink_->ends_requested, 0);
  Offer(kFrame, valve_);  // too late for it, and announced with the others
  EXPECT_EQ(egress_->OfferControl("x"), Egress::ControlOutcome::kClosed);
  Read(SIZE_MAX);
  EXPECT_EQ(sink_->ends_requested, 1);
  Tally tally = Count();
  EXPECT_EQ(tally.messages, 1u) << "the one that was begun";
  EXPECT_EQ(tally.lost[pb::Gap::REASON_DISCONNECTED], offered);
  Offer(kFrame, valve_);  // after the reason there is nothing
  EXPECT_TRUE(Parse(Split(sink_->written).frames.back()).has_error());
  EXPECT_EQ(tally.error, pb::Error::CODE_OVERFLOW);
}

TEST_F(EgressTest, WhoDoesNotReadTheReasonIsEndedAfterAnotherStallTimeout) {
  SetOverflow(Overflow::kDisconnect);
  FillAndStall();
  EXPECT_EQ(sink_->clocks_started, 2);
  EXPECT_EQ(sink_->ends_requested, 0);
  egress_->OnStallTimeout();
  EXPECT_EQ(sink_->ends_requested, 1);
}

TEST_F(EgressTest, BlockIsNeverStalledAndLosesNothing) {
  SetOverflow(Overflow::kBlock);
  egress_->SetOwnValve(valve_);
  sink_->room = 0;
  uint64_t offered = 0;
  for (; valve_->pauses == 0; ++offered) Offer(kFrame, valve_);
  EXPECT_EQ(sink_->clocks_started, 0);
  egress_->OnStallTimeout();
  EXPECT_EQ(valve_->pauses, 1);
  EXPECT_FALSE(egress_->state().stalled);
  Read(SIZE_MAX);
  EXPECT_EQ(valve_->pauses, 0);
  EXPECT_EQ(Count().messages, offered);
}

TEST_F(EgressTest, IsBoundedInMessagesToo) {
  egress_->SetPolicy({Overflow::kDropOldest, {SIZE_MAX, 3}});
  sink_->room = 0;
  for (int i = 0; i < 4; ++i) Offer(kFrame, valve_);
  EXPECT_EQ(egress_->state().queued_messages, 4u);
  EXPECT_EQ(valve_->pauses, 1);
  egress_->OnStallTimeout();
  EXPECT_EQ(egress_->state().queued_messages, 3u);
  EXPECT_EQ(egress_->state().dropped, 1u);
  Read(2 * kFrame.size() + 200);
  EXPECT_FALSE(egress_->state().stalled);
}

TEST_F(EgressTest, WhatANewSubscriberBeginsWithIsNotLimited) {
  sink_->room = 700;
  std::string bytes;
  std::vector<RetainedValue> values;
  for (char c = 'a'; c <= 'j'; ++c) {
    const std::string frame = MessageFrame("a", std::string(490, c));
    bytes += frame;
    values.push_back({Chunk::CopyOf(frame)});
  }
  egress_->OfferFirst(values);
  EXPECT_FALSE(egress_->state().stalled);
  EXPECT_EQ(egress_->state().queued_bytes, bytes.size() - 700);
  EXPECT_EQ(egress_->state().queued_messages, 9u);
  EXPECT_FALSE(values[1].chunk.unique()) << "queued by reference";
  EXPECT_TRUE(values[0].chunk.unique());
  sink_->room = SIZE_MAX;
  egress_->OnWritable();
  EXPECT_EQ(sink_->written, bytes);
}

TEST_F(EgressTest, ALossIsToldAtOnceWhenNothingWaits) {
  (void)egress_->OfferLoss(LossReason::kExpired, "a");
  EXPECT_EQ(Count().lost[pb::Gap::REASON_EXPIRED], 1u);
}

TEST_F(EgressTest, AFullQueueTurnsAwayOnlyWhatNobodyCanWaitWith) {
  for (const Overflow overflow : {Overflow::kDropOldest, Overflow::kBlock}) {
    SetOverflow(overflow);
    sink_->written.clear();
    sink_->room = 0;
    uint64_t offered = 0;
    for (; valve_->pauses == 0; ++offered) Offer(kFrame, valve_);
    const uint64_t dropped = egress_->state().dropped;
    for (int i = 0; i < 5; ++i) Offer(MessageFrame("own", "x"), nullptr);
    EXPECT_FALSE(egress_->state().stalled);
    EXPECT_EQ(egress_->state().dropped, dropped + 5);
    Read(SIZE_MAX);
    Tally tally = Count();
    EXPECT_EQ(tally.messages, offered);
    EXPECT_EQ(tally.lost[pb::Gap::REASON_OVERFLOW], 5u);
  }
}

TEST_F(EgressTest, AnswersThatNobodyReadsAreBounded) {
  options_.control_bytes_max = 1000;
  egress_ = std::make_unique<Egress>(0, EgressFormat::kFrames, options_, sink_,
                                     counters_);
  sink_->room = 0;
  int taken = 0;
  while (egress_->OfferControl(std::string(100, 'c')) ==
         Egress::ControlOutcome::kQueued) {
    ASSERT_LT(++taken, 100);
  }
  EXPECT_GE(taken, 10);
}

}  // namespace
}  // namespace fifobus
