#include "broker/core/delivery/queue_transfer.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "fmt/format.h"
#include "gtest/gtest.h"
#include "tests/support/core_fakes.h"
#include "tests/support/egress_queue_support.h"
#include "tests/support/state_carrier.h"

namespace fifobus {
namespace {

using Gaps = EgressQueue::Gaps;

std::unique_ptr<EgressQueue> Transfer(const EgressQueue& queue,
                                      Gaps gaps = Gaps::kFrames) {
  StateCarrier carrier;
  const pb::state::EgressQueue state =
      carrier.Carry(QueueTransfer::Export(queue, carrier.old_chunks));
  auto restored = std::make_unique<EgressQueue>(gaps);
  QueueTransfer::Restore(state, carrier.new_chunks, *restored);
  return restored;
}

std::string Frame(int number, size_t bytes = 20) {
  return MessageFrame(fmt::format("t/{}", number % 5),
                      fmt::format("{}{}", number, std::string(bytes, 'x')));
}

TEST(StateChunksTest, AChunkOfManyQueuesGoesOverOnce) {
  StateChunks chunks;
  const ChunkRef chunk = Chunk::CopyOf("....one,two....");
  const auto one = chunks.Export(chunk, chunk->view().substr(4, 3));
  const auto two = chunks.Export(chunk, chunk->view().substr(8, 3));
  EXPECT_EQ(one.chunk(), two.chunk());
  ASSERT_EQ(chunks.exported().size(), 1u);
  EXPECT_EQ(chunks.exported()[0].bytes, "one,two");

  StateChunks restored;
  restored.Add(one.chunk(), chunks.exported()[0].begin,
               Chunk::CopyOf("one,two"));
  EXPECT_EQ(restored.Restore(one).bytes, "one");
  EXPECT_EQ(restored.Restore(two).bytes, "two");
  EXPECT_EQ(restored.Restore(one).chunk.get(),
            restored.Restore(two).chunk.get());
}

TEST(StateChunksDeathTest, ARangeOutsideOfItsChunkIsNoState) {
  StateChunks chunks;
  chunks.Add(1, /*begin=*/10, Chunk::CopyOf("abc"));
  pb::state::ChunkRange range;
  range.set_chunk(1);
  range.set_begin(11);
  range.set_size(3);
  EXPECT_DEATH((void)chunks.Restore(range), "");
  range.set_begin(UINT64_MAX);
  range.set_size(2);
  EXPECT_DEATH((void)chunks.Restore(range), "");
}

TEST(QueueTransferTest, AFrameThatIsPartlyWrittenGoesOnAtTheSameByte) {
  EgressQueue queue(Gaps::kFrames);
  const std::string frames = Frame(1) + Frame(2) + Frame(3);
  Push(queue, QueuedAs::kFrames, frames, Frame(1).size() + 5);
  const auto restored = Transfer(queue);
  EXPECT_EQ(restored->bytes(), queue.bytes());
  EXPECT_EQ(Take(*restored), frames.substr(Frame(1).size() + 5));
}

TEST(QueueTransferTest, ABegunMessageIsNotDroppedAfterwards) {
  EgressQueue queue(Gaps::kFrames);
  Push(queue, QueuedAs::kFrames, Frame(1) + Frame(2) + Frame(3), 5);
  const auto restored = Transfer(queue);
  EXPECT_EQ(restored->DropAll(LossReason::kOverflow), 2u);
  const std::string rest = Take(*restored);
  EXPECT_EQ(rest.substr(0, Frame(1).size() - 5), Frame(1).substr(5));
  EXPECT_EQ(Events(rest.substr(Frame(1).size() - 5)),
            std::vector<std::string>{"-REASON_OVERFLOW 2"});
}

TEST(QueueTransferTest, GapsAreAnnouncedInTheSamePlaceWithTheirTopics) {
  EgressQueue queue(Gaps::kFrames);
  Push(queue, QueuedAs::kFrames, Frame(1), 3);
  queue.PushLoss(LossReason::kExpired, "lost/a");
  queue.PushLoss(LossReason::kExpired, "");
  queue.PushLoss(LossReason::kOverflow, "lost/b");
  Push(queue, QueuedAs::kFrames, Frame(2));
  queue.PushControl("control", 0);
  queue.PushLoss(LossReason::kConflated, "lost/c");
  const auto restored = Transfer(queue);
  EXPECT_EQ(restored->dropped_by_reason(), queue.dropped_by_reason());
  EXPECT_EQ(Take(*restored), Take(queue));
}

TEST(QueueTransferTest, MoreIsLostIntoARestoredGap) {
  EgressQueue queue(Gaps::kFrames);
  queue.PushLoss(LossReason::kOverflow, "a");
  const auto restored = Transfer(queue);
  restored->PushLoss(LossReason::kOverflow, "a");
  EXPECT_EQ(Events(Take(*restored)),
            std::vector<std::string>{"-REASON_OVERFLOW 2"});
}

TEST(QueueTransferTest, AGapKeepsToItsBoundOfTopics) {
  GapLedger ledger;
  for (size_t i = 0; i < GapLedger::kTopicsMax + 10; ++i) {
    ledger.Add(LossReason::kOverflow, fmt::format("topic/{}", i));
  }
  const GapLedger restored = GapLedger::Restore(ledger.Export());
  EXPECT_EQ(restored.messages(), ledger.messages());
  EXPECT_EQ(restored.memory_bytes(), ledger.memory_bytes());
  EXPECT_EQ(restored.Frames(SIZE_MAX).size(), ledger.Frames(SIZE_MAX).size());
}

TEST(QueueTransferTest, AnswersGrowBehindThoseThatWereQueued) {
  EgressQueue queue(Gaps::kFrames);
  queue.PushControl("first", 2);
  const auto restored = Transfer(queue);
  EXPECT_EQ(restored->control_bytes(), 3u);
  restored->PushControl(std::string(1000, 'y'), 0);
  EXPECT_EQ(restored->control_weight() - restored->control_bytes(),
            queue.control_weight() - queue.control_bytes());
  EXPECT_EQ(Take(*restored), "rst" + std::string(1000, 'y'));
}

TEST(QueueTransferTest, WhatATapShowsIsDroppedWholeAndExpires) {
  EgressQueue queue(Gaps::kJsonLines);
  Push(queue, QueuedAs::kUnit, "begun\n", 2);
  Push(queue, QueuedAs::kUnit, "old\n", 0, /*expiry_unix_nanos=*/100);
  Push(queue, QueuedAs::kUnit, "young\n", 0, /*expiry_unix_nanos=*/200);
  const auto restored = Transfer(queue, Gaps::kJsonLines);
  EXPECT_TRUE(restored->MayExpire());
  EXPECT_EQ(restored->DropExpired(150), 1u);
  EXPECT_EQ(Take(*restored),
            "gun\n{\"gap\":{\"reason\":\"expired\",\"messages\":1}}\nyoung\n");
}

TEST(QueueTransferTest, NeighboursInAChunkAreNeighboursStill) {
  EgressQueue queue(Gaps::kFrames);
  const std::string frames = Frame(1) + Frame(2) + Frame(3) + Frame(4);
  const ChunkRef chunk = Chunk::CopyOf(frames);
  size_t begin = 0;
  for (int i = 1; i <= 4; ++i) {
    const size_t size = Frame(i).size();
    queue.Push(QueuedAs::kFrames, chunk, {chunk->bytes() + begin, size}, 0);
    begin += size;
  }
  const auto restored = Transfer(queue);
  // Its entries become one again: a pass that drops joins them.
  EXPECT_EQ(restored->Conflate(), 0u);
  std::array<Slice, 8> slices;
  EXPECT_EQ(restored->Peek(absl::MakeSpan(slices)), 1u);
}

// A queue, and what was taken out of it.
struct Stream {
  std::unique_ptr<EgressQueue> queue =
      std::make_unique<EgressQueue>(Gaps::kFrames);
  std::string taken = {};

  // Frame by frame. A gap names its topics in any order.
  std::vector<std::string> Read() {
    taken += Take(*queue);
    std::vector<std::string> frames;
    const SplitFrames split = Split(taken);
    EXPECT_EQ(split.rest, "");
    for (const std::string& frame : split.frames) {
      pb::Frame parsed = Parse(frame);
      auto& losses = *parsed.mutable_gap()->mutable_losses();
      std::sort(losses.begin(), losses.end(), [](const auto& a, const auto& b) {
        return a.topic() < b.topic();
      });
      frames.push_back(parsed.ShortDebugString());
    }
    return frames;
  }
};

// Changes streams at random, all in the same way.
class RandomChanges {
 public:
  explicit RandomChanges(uint64_t seed) : random_(seed) {}

  void Step(Stream& a, Stream& b) {
    const size_t bytes = random_() % 100;
    std::string frames;
    for (size_t i = random_() % 4 + 1; i > 0; --i) {
      frames += Frame(number_++, bytes);
    }
    const uint64_t kind = random_() % 8;
    for (Stream* const each : {&a, &b}) {
      EgressQueue& queue = *each->queue;
      if (kind < 3) {
        Push(queue, QueuedAs::kFrames, frames);
      } else if (kind == 3) {
        pb::Frame pong;
        pong.mutable_pong()->set_token(bytes);
        queue.PushControl(ControlFrame(pong), 0);
      } else if (kind == 4) {
        queue.PushLoss(LossReason::kOverflow, "gone");
      } else if (kind == 5) {
        (void)queue.DropOldest({200, 0});
      } else if (kind == 6) {
        (void)queue.Conflate();
      } else {
        each->taken += Take(queue, bytes);
      }
    }
  }

 private:
  std::mt19937_64 random_;
  int number_ = 0;
};

TEST(QueueTransferTest, AQueueThatIsTransferredOftenBehavesAsOneThatIsNot) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  for (uint64_t round = 0; round < 50; ++round) {
    Stream plain;
    Stream transferred;
    RandomChanges changes(seed + round);
    for (int step = 0; step < 60; ++step) {
      changes.Step(plain, transferred);
      transferred.queue = Transfer(*transferred.queue);
      const EgressQueue& one = *plain.queue;
      const EgressQueue& other = *transferred.queue;
      ASSERT_EQ(one.bytes(), other.bytes());
      ASSERT_EQ(one.messages(), other.messages());
      ASSERT_EQ(one.control_weight(), other.control_weight());
      ASSERT_EQ(one.dropped_by_reason(), other.dropped_by_reason());
      ASSERT_EQ(one.IsBelowHalf({300, 8}), other.IsBelowHalf({300, 8}));
      ASSERT_EQ(plain.queue->RecountExceeds({300, 8}),
                transferred.queue->RecountExceeds({300, 8}));
    }
    ASSERT_EQ(plain.Read(), transferred.Read());
  }
}

}  // namespace
}  // namespace fifobus
