#include "broker/io/adaptive_spin.h"

#include "absl/time/time.h"
#include "gtest/gtest.h"

namespace fifobus {
namespace {

constexpr absl::Duration kLimit = absl::Microseconds(100);

// So many waits, each of which begins as the spin says.
void Wait(AdaptiveSpin& spin, absl::Duration waited, int times = 1) {
  for (int i = 0; i < times; ++i) spin.Came(waited, spin.Pays());
}

TEST(AdaptiveSpinTest, DoesNotSpinUntilThingsCameSoon) {
  AdaptiveSpin spin(kLimit);
  EXPECT_FALSE(spin.Pays());
  Wait(spin, 2 * kLimit, 3);  // of which waking took some
  EXPECT_FALSE(spin.Pays());
  Wait(spin, 2 * kLimit);
  EXPECT_TRUE(spin.Pays());
}

TEST(AdaptiveSpinTest, GoesOnWhileThingsComeInTime) {
  AdaptiveSpin spin(kLimit);
  int spun = 0;
  for (int i = 0; i < 10000; ++i) {
    if (spin.Pays()) ++spun;
    Wait(spin, kLimit);
  }
  EXPECT_GE(spun, 9800);
}

TEST(AdaptiveSpinTest, DoesNotSpinWhereSleepingServesAsWell) {
  AdaptiveSpin spin(kLimit);
  Wait(spin, absl::Microseconds(5), 1000);
  EXPECT_FALSE(spin.Pays());
}

TEST(AdaptiveSpinTest, NoticesThatSleepingServesAsWellByNow) {
  AdaptiveSpin spin(kLimit);
  Wait(spin, kLimit, 100);
  ASSERT_TRUE(spin.Pays());
  Wait(spin, absl::Microseconds(5), 1000);
  EXPECT_FALSE(spin.Pays());
}

TEST(AdaptiveSpinTest, LeavesTheCoreToOthersThatWantIt) {
  AdaptiveSpin spin(kLimit);
  Wait(spin, kLimit, 100);
  ASSERT_TRUE(spin.Pays());
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(spin.GoesOnThoughCoreIsWanted());
  EXPECT_FALSE(spin.Pays());
}

TEST(AdaptiveSpinTest, OneLateArrivalAmongManyIsForgiven) {
  AdaptiveSpin spin(kLimit);
  Wait(spin, kLimit, 100);
  Wait(spin, absl::Seconds(1));
  EXPECT_TRUE(spin.Pays());
}

TEST(AdaptiveSpinTest, StopsAfterAFewInVain) {
  AdaptiveSpin spin(kLimit);
  Wait(spin, kLimit, 100);
  int in_vain = 0;
  for (; spin.Pays(); ++in_vain) Wait(spin, absl::Milliseconds(1));
  EXPECT_EQ(in_vain, 2);
  Wait(spin, absl::Milliseconds(1), 100);
  EXPECT_FALSE(spin.Pays());
}

TEST(AdaptiveSpinTest, ArrivalsThatItJustMissesCostLittle) {
  AdaptiveSpin spin(kLimit);
  int spun = 0;
  for (int i = 0; i < 1000; ++i) {
    if (spin.Pays()) ++spun;
    Wait(spin, kLimit + absl::Microseconds(50));
  }
  EXPECT_LE(spun, 250);
}

TEST(AdaptiveSpinTest, WithoutALimitItNeverSpins) {
  AdaptiveSpin never;
  Wait(never, absl::Nanoseconds(50), 100);
  EXPECT_FALSE(never.Pays());
  EXPECT_FALSE(AdaptiveSpin::Always(absl::ZeroDuration()).Pays());
}

TEST(AdaptiveSpinTest, AlwaysIsWhateverComes) {
  AdaptiveSpin spin = AdaptiveSpin::Always(kLimit);
  Wait(spin, absl::Seconds(1), 100);
  EXPECT_TRUE(spin.Pays());
  EXPECT_TRUE(spin.GoesOnThoughCoreIsWanted());
  EXPECT_EQ(spin.limit(), kLimit);
}

}  // namespace
}  // namespace fifobus
