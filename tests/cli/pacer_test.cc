#include "clients/cli/pub/pacer.h"

#include "gtest/gtest.h"

namespace fifobus::cli {
namespace {

constexpr absl::Duration kStart = absl::Seconds(1000);
constexpr absl::Duration kTick = absl::Milliseconds(100);

TEST(PacerTest, TheFirstIsDueAtOnceAndTheOthersInEvenSteps) {
  Pacer pacer(kTick);
  EXPECT_EQ(pacer.Next(kStart), kStart);
  EXPECT_EQ(pacer.Next(kStart), kStart + kTick);
  EXPECT_EQ(pacer.Next(kStart), kStart + 2 * kTick);
}

TEST(PacerTest, WhatIsALittleLateDelaysNoneThatFollows) {
  Pacer pacer(kTick);
  for (int i = 0; i < 100; ++i) {
    const absl::Duration due = kStart + i * kTick;
    EXPECT_EQ(pacer.Next(due + absl::Milliseconds(i == 0 ? 0 : 30)), due);
  }
}

TEST(PacerTest, WhoWasHeldUpForLongBeginsAnew) {
  Pacer pacer(kTick);
  (void)pacer.Next(kStart);
  const absl::Duration later = kStart + absl::Hours(1);
  EXPECT_EQ(pacer.Next(later), later);
  EXPECT_EQ(pacer.Next(later), later + kTick);
}

}  // namespace
}  // namespace fifobus::cli
