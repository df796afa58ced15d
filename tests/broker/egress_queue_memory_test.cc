// What a queue keeps alive in memory for the bytes that wait in it.

#include <string>
#include <vector>

#include "broker/core/delivery/egress_queue.h"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/core_fakes.h"
#include "tests/support/egress_queue_support.h"

namespace fifobus {
namespace {

// A chunk of one message that is wanted among others that are not, as a worker
// reads them.
ChunkRef ChunkWith(const std::string& frame) {
  return Chunk::CopyOf(frame + std::string(10000, 'x'));
}

void PushFrontOf(EgressQueue& queue, const ChunkRef& chunk, size_t size,
                 uint64_t expiry_unix_nanos = 0) {
  queue.Push(QueuedAs::kFrames, chunk,
             {chunk->bytes(), size, expiry_unix_nanos}, 0);
}

TEST(EgressQueueMemory, KnowsWhatItHoldsInMemory) {
  EgressQueue queue(EgressQueue::Gaps::kFrames);
  const std::string frame = MessageFrame("a", "1");
  const ChunkRef chunk = Chunk::CopyOf(frame + frame + std::string(50000, 'x'));
  const size_t entry = sizeof(QueueEntry);
  PushFrontOf(queue, chunk, frame.size());
  EXPECT_EQ(queue.held_bytes(), chunk->capacity() + entry);
  queue.Push(QueuedAs::kFrames, chunk,
             {chunk->bytes() + frame.size(), frame.size()}, 0);
  EXPECT_EQ(queue.held_bytes(), chunk->capacity() + 2 * entry) << "once";
  EXPECT_EQ(Take(queue), frame + frame);
  EXPECT_EQ(queue.held_bytes(), 0u);
}

TEST(EgressQueueMemory, CompactsWhatPinsLargeChunks) {
  EgressQueue queue(EgressQueue::Gaps::kFrames);
  const QueueLimits limits = {size_t{1} << 20};
  std::string expected;
  for (int i = 0; i < 1000; ++i) {
    const std::string frame = MessageFrame("t" + std::to_string(i), "value");
    const ChunkRef chunk = ChunkWith(frame);
    PushFrontOf(queue, chunk, frame.size());
    queue.CompactIfWorthwhile(limits);
    expected += frame;
    EXPECT_LE(queue.held_bytes(), limits.bytes_max);
  }
  EXPECT_EQ(queue.messages(), 1000u);
  EXPECT_EQ(Take(queue), expected);
}

TEST(EgressQueueMemory, CompactsBehindAMessageThatIsPartlyWritten) {
  EgressQueue queue(EgressQueue::Gaps::kFrames);
  const std::string frame = MessageFrame("a", std::string(100, 'y'));
  std::string expected;
  std::string stream;
  for (int i = 0; i < 100; ++i) {
    const ChunkRef chunk = ChunkWith(frame);
    PushFrontOf(queue, chunk, frame.size());
    expected += frame;
    if (i == 0) stream = Take(queue, 3);
    queue.CompactIfWorthwhile({100000});
    EXPECT_LE(queue.held_bytes(), 200000u);
  }
  EXPECT_EQ(queue.DropOldest({50 * frame.size()}), 50u);
  stream += Take(queue);
  EXPECT_EQ(Events(stream).size(), 51u);
  EXPECT_EQ(stream.substr(0, frame.size()), frame);
}

TEST(EgressQueueMemory, WhatSurvivesConflationOrExpiryPinsNoChunks) {
  for (const bool expires : {false, true}) {
    EgressQueue queue(EgressQueue::Gaps::kFrames);
    const QueueLimits limits = {size_t{1} << 18};
    for (int i = 0; i < 500; ++i) {
      const std::string kept = MessageFrame("t" + std::to_string(i), "kept");
      std::string bytes = kept;
      for (int k = 0; k < 100; ++k) {
        bytes += ExpiringFrame("hot", std::string(60, 'h'), 10);
      }
      const ChunkRef chunk = Chunk::CopyOf(bytes);
      queue.Push(QueuedAs::kFrames, chunk,
                 {chunk->bytes(), bytes.size(), 10, 101}, 0);
      queue.CompactIfWorthwhile(limits);
      if (expires) {
        EXPECT_EQ(queue.DropExpired(10), 100u);
      } else {
        EXPECT_GE(queue.Conflate(), 99u);
      }
      EXPECT_LE(queue.held_bytes(), 2 * limits.bytes_max);
    }
    const std::vector<std::string> events = Events(Take(queue));
    for (int i = 0; i < 500; ++i) {
      EXPECT_THAT(events, testing::Contains(fmt::format("t{}=kept", i)));
    }
  }
}

TEST(EgressQueueMemory, GapsAndLinesOfTapsWeighWhatTheyTake) {
  const QueueLimits limits = {200000};
  EgressQueue gaps(EgressQueue::Gaps::kFrames);
  const std::string kept = MessageFrame("a", "");
  for (int i = 0; i < 10000; ++i) {
    gaps.PushLoss(LossReason::kExpired, "a/topic/of/some/length");
    Push(gaps, QueuedAs::kFrames, kept);
    if (gaps.RecountExceeds(limits)) gaps.DropOldest(limits);
    ASSERT_LE(gaps.held_bytes(), 2 * limits.bytes_max);
  }
  EgressQueue lines(EgressQueue::Gaps::kOnlyCounted);
  const ChunkRef chunk = Chunk::CopyOf("y\n");
  for (int i = 0; i < 100000; ++i) {
    lines.Push(QueuedAs::kUnit, chunk, {chunk->bytes(), 2}, 0);
    if (lines.RecountExceeds(limits)) lines.DropOldest(limits);
    ASSERT_LE(lines.held_bytes(), 2 * limits.bytes_max);
  }
  EXPECT_GT(lines.messages(), 1000u);
}

TEST(EgressQueueMemory, SmallAnswersTakeLittleMoreThanTheirBytes) {
  EgressQueue queue(EgressQueue::Gaps::kFrames);
  std::string expected;
  for (int i = 0; i < 1000; ++i) {
    const std::string answer = std::to_string(i);
    queue.PushControl(answer, 0);
    expected += answer;
    EXPECT_LE(queue.held_bytes(), 2 * expected.size() + sizeof(QueueEntry));
  }
  EXPECT_EQ(queue.control_bytes(), expected.size());
  EXPECT_EQ(Take(queue, 5), expected.substr(0, 5));
  queue.PushControl("more", 0);
  EXPECT_EQ(Take(queue), expected.substr(5) + "more");
}

}  // namespace
}  // namespace fifobus
