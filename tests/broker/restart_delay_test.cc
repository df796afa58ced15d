#include "broker/keeper/restart_delay.h"

#include "gtest/gtest.h"

namespace fifobus {
namespace {

constexpr absl::Duration kNone = absl::ZeroDuration();
constexpr absl::Duration kMost = absl::Seconds(5);

TEST(RestartDelayTest, TheFirstRestartIsAtOnce) {
  EXPECT_EQ(RestartDelay(kMost).Next(kNone), kNone);
}

TEST(RestartDelayTest, EachDelayIsTwiceTheOneBeforeUpToTheLimit) {
  RestartDelay delay(kMost);
  EXPECT_EQ(delay.Next(kNone), kNone);
  absl::Duration expected = RestartDelay::kFirst;
  for (int i = 0; i < 9; ++i, expected *= 2) {
    EXPECT_EQ(delay.Next(kNone), expected) << i;
  }
  EXPECT_GT(expected, kMost);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(delay.Next(kNone), kMost);
}

TEST(RestartDelayTest, OneThatRanWellBeginsAnew) {
  RestartDelay delay(kMost);
  for (int i = 0; i < 5; ++i) (void)delay.Next(kNone);
  EXPECT_GT(delay.Next(RestartDelay::kRanWell - absl::Milliseconds(1)), kNone);
  EXPECT_EQ(delay.Next(RestartDelay::kRanWell), kNone);
  EXPECT_EQ(delay.Next(kNone), RestartDelay::kFirst);
}

TEST(RestartDelayTest, ALimitOfNothingIsNoDelay) {
  RestartDelay delay(kNone);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(delay.Next(kNone), kNone);
}

}  // namespace
}  // namespace fifobus
