#include "broker/core/egress_queue.h"

#include <array>
#include <string>

#include "gtest/gtest.h"
#include "tests/core_fakes.h"

namespace fifobus {
namespace {

void Push(EgressQueue& queue, QueuedAs as, const std::string& bytes,
          size_t written = 0) {
  const ChunkRef chunk = ChunkOf(bytes);
  queue.Push(as, chunk, {chunk->bytes(), bytes.size()}, written);
}

// Takes up to `limit` bytes out of the queue, as a pipe would.
std::string Take(EgressQueue& queue, size_t limit = SIZE_MAX) {
  std::string taken;
  while (!queue.empty() && taken.size() < limit) {
    std::array<Slice, 3> slices;
    const size_t count = queue.Peek(absl::MakeSpan(slices));
    size_t step = 0;
    for (size_t i = 0; i < count && taken.size() < limit; ++i) {
      const size_t part = std::min(slices[i].size, limit - taken.size());
      taken.append(slices[i].bytes, part);
      step += part;
    }
    queue.Consume(step);
  }
  return taken;
}

TEST(EgressQueue, GivesBackWhatWasPushedInItsOrder) {
  EgressQueue queue(EgressQueue::Gaps::kAnnounced);
  Push(queue, QueuedAs::kFrames, "one");
  Push(queue, QueuedAs::kControl, "two");
  Push(queue, QueuedAs::kFrames, "three");
  EXPECT_EQ(queue.bytes(), 11u);
  EXPECT_EQ(queue.control_bytes(), 3u);
  EXPECT_EQ(Take(queue), "onetwothree");
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.bytes(), 0u);
  EXPECT_EQ(queue.control_bytes(), 0u);
}

TEST(EgressQueue, GoesOnWhereAWriteWasCutShort) {
  EgressQueue queue(EgressQueue::Gaps::kAnnounced);
  Push(queue, QueuedAs::kFrames, "abcdefgh", /*written=*/3);
  EXPECT_EQ(queue.bytes(), 5u);
  EXPECT_EQ(Take(queue, 2), "de");
  EXPECT_EQ(Take(queue), "fgh");
}

TEST(EgressQueue, DropsTheOldestFramesFirst) {
  EgressQueue queue(EgressQueue::Gaps::kOnlyCounted);
  const std::string one = MessageFrame("a", "1");
  const std::string two = MessageFrame("a", "2");
  const std::string three = MessageFrame("b", "3");
  Push(queue, QueuedAs::kFrames, one + two);
  Push(queue, QueuedAs::kFrames, three);
  EXPECT_EQ(queue.DropOldest(two.size() + three.size()), 1u);
  EXPECT_EQ(Take(queue), two + three);
  EXPECT_EQ(queue.dropped(), 1u);
}

TEST(EgressQueue, AnnouncesWhatItDroppedAtThatPoint) {
  EgressQueue queue(EgressQueue::Gaps::kAnnounced);
  std::string frames;
  for (int i = 0; i < 10; ++i) frames += MessageFrame(i < 7 ? "a" : "b", "x");
  const std::string last = MessageFrame("c", "last");
  Push(queue, QueuedAs::kFrames, frames);
  Push(queue, QueuedAs::kFrames, last);
  EXPECT_EQ(queue.DropOldest(last.size()), 10u);
  const SplitFrames split = Split(Take(queue));
  ASSERT_EQ(split.frames.size(), 2u);
  const pb::Gap gap = Parse(split.frames[0]).gap();
  EXPECT_EQ(gap.reason(), pb::Gap::REASON_OVERFLOW);
  EXPECT_EQ(gap.messages(), 10u);
  ASSERT_EQ(gap.losses_size(), 2);
  uint64_t of_a = 0;
  for (const auto& loss : gap.losses()) {
    if (loss.topic() == "a") of_a = loss.messages();
  }
  EXPECT_EQ(of_a, 7u);
  EXPECT_EQ(split.frames[1], last);
}

TEST(EgressQueue, NeverDropsAFrameThatIsBegun) {
  const std::string one = MessageFrame("a", "first");
  const std::string two = MessageFrame("a", "second");
  const std::string three = MessageFrame("a", "third");
  for (size_t written = 0; written <= one.size() + two.size(); ++written) {
    EgressQueue queue(EgressQueue::Gaps::kAnnounced);
    Push(queue, QueuedAs::kFrames, one + two + three);
    std::string stream = Take(queue, written);
    queue.DropOldest(0);
    stream += Take(queue);
    const SplitFrames split = Split(stream);
    EXPECT_EQ(split.rest, "") << "torn after " << written;
    EXPECT_EQ(split.frames.back(), three);
    uint64_t accounted = 0;
    for (const std::string& frame : split.frames) {
      const pb::Frame parsed = Parse(frame);
      accounted += parsed.has_gap() ? parsed.gap().messages() : 1;
    }
    EXPECT_EQ(accounted, 3u) << "written " << written;
  }
}

TEST(EgressQueue, NeverDropsControlFrames) {
  EgressQueue queue(EgressQueue::Gaps::kOnlyCounted);
  pb::Frame subscribed;
  subscribed.mutable_subscribed()->set_request_id(1);
  const std::string control = ControlFrame(subscribed);
  Push(queue, QueuedAs::kFrames, MessageFrame("a", "1"));
  Push(queue, QueuedAs::kControl, control);
  Push(queue, QueuedAs::kFrames, MessageFrame("a", "2"));
  EXPECT_EQ(queue.DropOldest(0), 1u);
  EXPECT_EQ(Take(queue), control + MessageFrame("a", "2"));
}

TEST(EgressQueue, KeepsTheNewestMessageHoweverLarge) {
  EgressQueue queue(EgressQueue::Gaps::kAnnounced);
  Push(queue, QueuedAs::kFrames, MessageFrame("a", std::string(5000, 'x')));
  EXPECT_EQ(queue.DropOldest(100), 0u);
  EXPECT_GT(queue.bytes(), 5000u);
}

TEST(EgressQueue, DropsTextOnlyByWholeMessages) {
  EgressQueue queue(EgressQueue::Gaps::kOnlyCounted);
  Push(queue, QueuedAs::kUnit, "two\nlines\n");
  Push(queue, QueuedAs::kUnit, "next\n");
  EXPECT_EQ(Take(queue, 5), "two\nl");
  Push(queue, QueuedAs::kUnit, "last\n");
  EXPECT_EQ(queue.DropOldest(0), 1u);
  EXPECT_EQ(Take(queue), "ines\nlast\n");
}

TEST(EgressQueue, AGapNamesAtMost64Topics) {
  EgressQueue queue(EgressQueue::Gaps::kAnnounced);
  std::string frames;
  for (int i = 0; i < 100; ++i) {
    frames += MessageFrame("t" + std::to_string(i), "");
  }
  Push(queue, QueuedAs::kFrames, frames + MessageFrame("last", ""));
  queue.DropOldest(0);
  const SplitFrames split = Split(Take(queue));
  const pb::Gap gap = Parse(split.frames.at(0)).gap();
  EXPECT_EQ(gap.messages(), 100u);
  EXPECT_EQ(gap.losses_size(), 64);
}

}  // namespace
}  // namespace fifobus
