#include "clients/cli/bridge/clock_check.h"

#include "gtest/gtest.h"

namespace fifobus::bridge {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1795860000);

TEST(ClockCheckTest, ClocksThatMayAgreeAreNoTrouble) {
  ClockCheck check;
  EXPECT_EQ(check.trouble(), "");
  check.Observe(kNow, kNow - absl::Seconds(3), kNow + absl::Seconds(3));
  check.Observe(kNow, kNow - absl::Milliseconds(900), kNow);
  check.Observe(kNow, kNow + absl::Milliseconds(900), kNow + absl::Seconds(1));
  EXPECT_EQ(check.ahead(), absl::ZeroDuration());
}

TEST(ClockCheckTest, DifferenceIsWhatTheClocksDifferByAtLeast) {
  ClockCheck check;
  check.Observe(kNow + absl::Seconds(5), kNow - absl::Seconds(1), kNow);
  EXPECT_EQ(check.ahead(), absl::Seconds(5));
  EXPECT_EQ(check.trouble().find("the clock is 5s behind that of the NATS"), 0U)
      << check.trouble();
  check.Observe(kNow - absl::Minutes(2), kNow - absl::Seconds(1), kNow);
  EXPECT_EQ(check.ahead(), -absl::Seconds(119));
  EXPECT_EQ(check.trouble().find("the clock is 1m59s ahead of that"), 0U)
      << check.trouble();
  check.Observe(kNow, kNow, kNow);
  EXPECT_EQ(check.trouble(), "");
}

TEST(ClockCheckTest, MessageFromTheFutureShowsAClockThatIsBehind) {
  ClockCheck check;
  // An old message says nothing.
  check.ObserveBefore(kNow - absl::Hours(1), kNow);
  EXPECT_EQ(check.trouble(), "");
  check.ObserveBefore(kNow + absl::Seconds(10), kNow);
  EXPECT_EQ(check.ahead(), absl::Seconds(10));
  check.ObserveBefore(kNow - absl::Hours(1), kNow);
  EXPECT_EQ(check.ahead(), absl::Seconds(10));
  check.ObserveBefore(kNow - absl::Milliseconds(10), kNow);
  EXPECT_EQ(check.ahead(), absl::ZeroDuration());
}

TEST(ClockCheckTest, OnlyAFullMeasurementSaysThatTheClockIsNotAheadAnyMore) {
  ClockCheck check;
  check.Observe(kNow - absl::Seconds(9), kNow, kNow);
  check.ObserveBefore(kNow, kNow);
  EXPECT_EQ(check.ahead(), -absl::Seconds(9));
}

}  // namespace
}  // namespace fifobus::bridge
