#include "broker/core/delivery/egress_queue.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/core_fakes.h"
#include "tests/support/egress_queue_support.h"

namespace fifobus {
namespace {

// A retained message as it stands in a stream.
std::string Pair(std::string_view topic, std::string_view payload) {
  DeliveryView delivery;
  delivery.retained = true;
  std::string pair;
  AppendDeliveryFrame(delivery, pair);
  return pair + MessageFrame(topic, payload);
}

using testing::ElementsAre;

TEST(EgressQueue, GivesBackWhatWasPushedInItsOrder) {
  EgressQueue queue(EgressQueue::Gaps::kFrames);
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
  EgressQueue queue(EgressQueue::Gaps::kFrames);
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
  EXPECT_EQ(queue.DropOldest({two.size() + three.size()}), 1u);
  EXPECT_EQ(Take(queue), two + three);
  EXPECT_EQ(queue.dropped(), 1u);
}

TEST(EgressQueue, AnnouncesWhatItDroppedAtThatPoint) {
  EgressQueue queue(EgressQueue::Gaps::kFrames);
  std::string frames;
  for (int i = 0; i < 10; ++i) frames += MessageFrame(i < 7 ? "a" : "b", "x");
  const std::string last = MessageFrame("c", "last");
  Push(queue, QueuedAs::kFrames, frames);
  Push(queue, QueuedAs::kFrames, last);
  EXPECT_EQ(queue.DropOldest({last.size()}), 10u);
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
    EgressQueue queue(EgressQueue::Gaps::kFrames);
    Push(queue, QueuedAs::kFrames, one + two + three);
    std::string stream = Take(queue, written);
    queue.DropOldest({0});
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
  EXPECT_EQ(queue.DropOldest({0}), 1u);
  EXPECT_EQ(Take(queue), control + MessageFrame("a", "2"));
}

TEST(EgressQueue, KeepsTheNewestMessageHoweverLarge) {
  EgressQueue queue(EgressQueue::Gaps::kFrames);
  Push(queue, QueuedAs::kFrames, MessageFrame("a", std::string(5000, 'x')));
  EXPECT_EQ(queue.DropOldest({100}), 0u);
  EXPECT_GT(queue.bytes(), 5000u);
}

TEST(EgressQueue, DropsTextOnlyByWholeMessages) {
  EgressQueue queue(EgressQueue::Gaps::kOnlyCounted);
  Push(queue, QueuedAs::kUnit, "two\nlines\n");
  Push(queue, QueuedAs::kUnit, "next\n");
  EXPECT_EQ(Take(queue, 5), "two\nl");
  Push(queue, QueuedAs::kUnit, "last\n");
  EXPECT_EQ(queue.DropOldest({0}), 1u);
  EXPECT_EQ(Take(queue), "ines\nlast\n");
}

TEST(EgressQueue, ALossIsAnnouncedExactlyWhereItIs) {
  EgressQueue queue(EgressQueue::Gaps::kFrames);
  Push(queue, QueuedAs::kFrames, MessageFrame("a", "1"));
  queue.PushLoss(LossReason::kOverflow, "a");
  queue.PushLoss(LossReason::kOverflow, "b");
  Push(queue, QueuedAs::kFrames, MessageFrame("a", "4"));
  queue.PushLoss(LossReason::kExpired, "a");
  EXPECT_THAT(Events(Take(queue)), ElementsAre("a=1", "-REASON_OVERFLOW 2",
                                               "a=4", "-REASON_EXPIRED 1"));
  EXPECT_EQ(queue.dropped(), 3u);
}

TEST(EgressQueue, LossesThatMeetAreAnnouncedTogether) {
  EgressQueue queue(EgressQueue::Gaps::kFrames);
  Push(queue, QueuedAs::kFrames, MessageFrame("a", "1"));
  queue.PushLoss(LossReason::kOverflow, "b");
  Push(queue, QueuedAs::kFrames, MessageFrame("a", "2"));
  queue.PushLoss(LossReason::kExpired, "b");
  const std::string last = MessageFrame("a", "3");
  Push(queue, QueuedAs::kFrames, last);
  EXPECT_EQ(queue.DropOldest({last.size()}), 2u);
  EXPECT_THAT(Events(Take(queue)),
              ElementsAre("-REASON_OVERFLOW 3", "-REASON_EXPIRED 1", "a=3"));
}

TEST(EgressQueue, ADeliveryAndItsMessageAreDroppedAsOne) {
  const std::string pair = Pair("a", "1");
  for (size_t written = 0; written < pair.size(); ++written) {
    EgressQueue queue(EgressQueue::Gaps::kFrames);
    const ChunkRef chunk =
        Chunk::CopyOf(pair + Pair("a", "2") + Pair("a", "3"));
    queue.Push(QueuedAs::kFrames, chunk,
               {chunk->bytes(), chunk->capacity(), 0, 3}, 0);
    std::string stream = Take(queue, written);
    queue.DropOldest({0});
    stream += Take(queue);
    if (written == 0) {
      EXPECT_THAT(Events(stream), ElementsAre("-REASON_OVERFLOW 2", "a=3"));
    } else {
      EXPECT_THAT(Events(stream),
                  ElementsAre("a=1", "-REASON_OVERFLOW 1", "a=3"));
    }
    EXPECT_EQ(queue.messages(), 0u);
  }
}

TEST(EgressQueue, ConflatingKeepsTheNewestOfEachTopic) {
  EgressQueue queue(EgressQueue::Gaps::kFrames);
  Push(
      queue, QueuedAs::kFrames,
      MessageFrame("a", "1") + MessageFrame("b", "1") + MessageFrame("a", "2"));
  Push(
      queue, QueuedAs::kFrames,
      MessageFrame("c", "1") + MessageFrame("a", "3") + MessageFrame("c", "2"));
  const std::string begun = Take(queue, 3);
  EXPECT_EQ(queue.Conflate(), 2u);
  EXPECT_EQ(queue.messages(), 4u);
  EXPECT_THAT(Events(begun + Take(queue)),
              ElementsAre("a=1", "b=1", "-REASON_CONFLATED 2", "a=3", "c=2"));
  EXPECT_EQ(queue.bytes(), 0u);
}

TEST(EgressQueue, DropsWhatHasExpiredAndNothingElse) {
  EgressQueue queue(EgressQueue::Gaps::kFrames);
  EXPECT_FALSE(queue.MayExpire());
  Push(queue, QueuedAs::kFrames,
       MessageFrame("a", "for ever") + ExpiringFrame("a", "10", 10) +
           ExpiringFrame("a", "20", 20),
       0, 10);
  EXPECT_TRUE(queue.MayExpire());
  EXPECT_EQ(queue.DropExpired(9), 0u);
  EXPECT_EQ(queue.DropExpired(10), 1u);
  EXPECT_EQ(queue.DropExpired(19), 0u);
  EXPECT_EQ(queue.DropExpired(20), 1u);
  EXPECT_FALSE(queue.MayExpire());
  EXPECT_THAT(Events(Take(queue)),
              ElementsAre("a=for ever", "-REASON_EXPIRED 2"));
}

TEST(EgressQueue, AMessageThatIsBegunDoesNotExpire) {
  EgressQueue queue(EgressQueue::Gaps::kFrames);
  Push(queue, QueuedAs::kFrames, ExpiringFrame("a", "begun", 10), 0, 10);
  std::string stream = Take(queue, 1);
  EXPECT_EQ(queue.DropExpired(100), 0u);
  EXPECT_THAT(Events(stream + Take(queue)), ElementsAre("a=begun"));
}

TEST(EgressQueue, LinesOfTapsExpireToo) {
  EgressQueue queue(EgressQueue::Gaps::kJsonLines);
  Push(queue, QueuedAs::kUnit, "{1}\n", 0, 10);
  Push(queue, QueuedAs::kUnit, "{2}\n");
  EXPECT_EQ(queue.DropExpired(10), 1u);
  EXPECT_EQ(Take(queue),
            "{\"gap\":{\"reason\":\"expired\",\"messages\":1}}\n{2}\n");
}

TEST(EgressQueue, CountsMessagesAndIsBoundedByThem) {
  EgressQueue queue(EgressQueue::Gaps::kFrames);
  const std::string one = MessageFrame("a", "1");
  Push(queue, QueuedAs::kFrames, one + one + one);
  EXPECT_EQ(queue.messages(), 3u);
  EXPECT_FALSE(queue.RecountExceeds({SIZE_MAX, 3}));
  EXPECT_TRUE(queue.RecountExceeds({SIZE_MAX, 2}));
  Take(queue, one.size() + 1);
  EXPECT_FALSE(queue.RecountExceeds({SIZE_MAX, 2})) << "one is written";
  EXPECT_EQ(queue.DropOldest({SIZE_MAX, 1}), 0u) << "one is begun";
  Push(queue, QueuedAs::kFrames, one + one);
  EXPECT_EQ(queue.DropOldest({SIZE_MAX, 2}), 2u);
  EXPECT_EQ(queue.messages(), 2u);
}

TEST(EgressQueue, DropsEverythingButWhatIsBegunAndControl) {
  EgressQueue queue(EgressQueue::Gaps::kFrames);
  const std::string one = MessageFrame("a", "1");
  Push(queue, QueuedAs::kFrames, one + one + one);
  std::string stream = Take(queue, 1);
  pb::Frame subscribed;
  subscribed.mutable_subscribed()->set_request_id(1);
  Push(queue, QueuedAs::kControl, ControlFrame(subscribed));
  EXPECT_EQ(queue.DropAll(LossReason::kDisconnected), 2u);
  stream += Take(queue);
  EXPECT_THAT(Events(stream), ElementsAre("a=1", "-REASON_DISCONNECTED 2"));
  EXPECT_EQ(Split(stream).frames.back(), ControlFrame(subscribed));
}

TEST(EgressQueue, AGapNamesAtMost64Topics) {
  EgressQueue queue(EgressQueue::Gaps::kFrames);
  std::string frames;
  for (int i = 0; i < 100; ++i) {
    frames += MessageFrame("t" + std::to_string(i), "");
  }
  Push(queue, QueuedAs::kFrames, frames + MessageFrame("last", ""));
  queue.DropOldest({0});
  const SplitFrames split = Split(Take(queue));
  const pb::Gap gap = Parse(split.frames.at(0)).gap();
  EXPECT_EQ(gap.messages(), 100u);
  EXPECT_EQ(gap.losses_size(), 64);
}

TEST(EgressQueue, GapFramesKeepTheLimitOfFrames) {
  constexpr size_t kFrameBytesMax = 1024;
  EgressQueue queue(EgressQueue::Gaps::kFrames, kFrameBytesMax);
  std::string frames;
  for (int i = 0; i < 100; ++i) {
    frames += MessageFrame(std::string(190, 'a') + std::to_string(i), "");
  }
  Push(queue, QueuedAs::kFrames, frames + MessageFrame("last", ""));
  queue.DropOldest({0});
  uint64_t announced = 0;
  int topics = 0;
  for (const std::string& frame : Split(Take(queue)).frames) {
    EXPECT_LE(frame.size() - kFramePrefixBytes, kFrameBytesMax);
    const pb::Gap gap = Parse(frame).gap();
    announced += gap.messages();
    topics += gap.losses_size();
  }
  EXPECT_EQ(announced, 100u);
  EXPECT_EQ(topics, 64);
}

}  // namespace
}  // namespace fifobus
