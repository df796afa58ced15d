// What an Egress does with offers of several workers and groups, and what it
// knows of them.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "broker/core/delivery/egress.h"
#include "gtest/gtest.h"
#include "tests/support/core_fakes.h"

namespace fifobus {
namespace {

class Rooms : public RoomListener {
 public:
  void OnRoom() override { ++told; }
  int told = 0;
};

class EgressOffersTest : public testing::Test {
 protected:
  Egress::OfferOutcome Offer(const std::string& frames, uint32_t messages,
                             uint64_t generation = Egress::kNoGeneration) {
    const ChunkRef chunk = Chunk::CopyOf(frames);
    const Slice slice{chunk->bytes(), frames.size(), 0, messages};
    return egress_.Offer(chunk, {&slice, 1}, valve_, generation);
  }
  Egress::RoomResult OfferIfRoom(const std::string& frame) {
    const Slice slice{frame.data(), frame.size()};
    return egress_.OfferIfRoom({&slice, 1});
  }
  void Read(size_t bytes) {
    sink_->room = bytes;
    egress_.OnWritable();
  }

  BrokerOptions options_;
  Counters counters_;
  const std::shared_ptr<FakeSink> sink_ = std::make_shared<FakeSink>();
  const std::shared_ptr<Valve> valve_ = std::make_shared<FakeValve>();
  Egress egress_{0, EgressFormat::kFrames, options_, sink_, counters_};
};

TEST_F(EgressOffersTest, WhatAnOlderSnapshotHasIsStaleAfterAnUnsubscription) {
  const std::string frame = MessageFrame("a", "x");
  EXPECT_EQ(Offer(frame, 1, 4), Egress::OfferOutcome::kDone);
  egress_.NoteUnsubscribed(5);
  EXPECT_EQ(Offer(frame, 1, 4), Egress::OfferOutcome::kStale);
  EXPECT_EQ(egress_.OfferLoss(LossReason::kExpired, "a", 4),
            Egress::OfferOutcome::kStale);
  EXPECT_EQ(sink_->written, frame);
  EXPECT_EQ(egress_.state().delivered, 1u);
  EXPECT_EQ(Offer(frame, 1, 5), Egress::OfferOutcome::kDone);
  egress_.Close();
  EXPECT_EQ(Offer(frame, 1, 4), Egress::OfferOutcome::kDone);
}

// The owner's thread alone walks what the listener walks: a worker that only
// offers must not call it.
TEST_F(EgressOffersTest, OnlyTheOwningWorkerTellsOfRoom) {
  const auto rooms = std::make_shared<Rooms>();
  egress_.SetRoomListener(rooms);
  sink_->room = 0;
  EXPECT_EQ(OfferIfRoom(MessageFrame("a", "x")).bytes_taken, 0u);
  sink_->room = SIZE_MAX;
  (void)egress_.OfferLoss(LossReason::kExpired, "a");
  (void)Offer(MessageFrame("a", "y"), 1);
  EXPECT_EQ(rooms->told, 0);
  egress_.OnWritable();
  EXPECT_EQ(rooms->told, 1);
  egress_.OnWritable();
  EXPECT_EQ(rooms->told, 1) << "nobody asked since";
}

TEST_F(EgressOffersTest, DeliveredCountsMessagesOfASliceThatIsPartlyWritten) {
  const std::string frame = MessageFrame("a", "x");
  std::string frames;
  for (int i = 0; i < 10; ++i) frames += frame;
  sink_->room = 7 * frame.size() + 1;
  (void)Offer(frames, 10);
  EXPECT_EQ(egress_.state().delivered, 7u);
  EXPECT_EQ(egress_.state().queued_messages, 3u);
  Read(2 * frame.size());
  EXPECT_EQ(egress_.state().delivered, 9u);
}

TEST_F(EgressOffersTest, AnEgressKnowsWhereItsReaderIs) {
  const std::string frame = MessageFrame("a", "x");
  sink_->room = frame.size() + 2;
  EXPECT_EQ(OfferIfRoom(frame).stream_end, frame.size());
  EXPECT_EQ(OfferIfRoom(frame).stream_end, 2 * frame.size()) << "begun";
  sink_->unread_bytes = 5;
  EXPECT_EQ(egress_.ReadPosition(), frame.size() + 2 - 5);
  egress_.Close();
  sink_->unread_bytes = 0;
  EXPECT_EQ(egress_.ReadPosition(), frame.size() + 2 - 5);
}

TEST_F(EgressOffersTest, DropNewestTurnsAwayUntilTheQueueIsBelowHalf) {
  const std::string frame = MessageFrame("a", std::string(90, 'x'));
  egress_.SetPolicy({Overflow::kDropNewest, {10 * frame.size(), 0}});
  sink_->room = 0;
  for (int i = 0; i < 11; ++i) (void)Offer(frame, 1);
  egress_.OnStallTimeout();
  ASSERT_TRUE(egress_.state().stalled);
  Read(5 * frame.size());
  ASSERT_TRUE(egress_.state().stalled) << "6 of 10 are left";
  (void)Offer(frame, 1);
  EXPECT_EQ(egress_.state().dropped, 1u);
  EXPECT_EQ(egress_.state().queued_messages, 6u);
  // The gap, which lies behind, goes with the last message.
  Read(2 * frame.size());
  EXPECT_FALSE(egress_.state().stalled);
  (void)Offer(frame, 1);
  EXPECT_EQ(egress_.state().dropped, 1u);
}

TEST_F(EgressOffersTest, ALimitOfOneByteHoldsUpOnlyUntilAllIsWritten) {
  egress_.SetPolicy({Overflow::kBlock, {1, 0}});
  sink_->room = 0;
  (void)Offer(MessageFrame("a", "x"), 1);
  EXPECT_EQ(egress_.state().holds_up, 1u);
  Read(SIZE_MAX);
  EXPECT_EQ(egress_.state().holds_up, 0u);
}

}  // namespace
}  // namespace fifobus
