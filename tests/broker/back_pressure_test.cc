#include "broker/core/delivery/back_pressure.h"

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <memory>

#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "tests/support/core_fakes.h"

// How far the wall clock of this process has been set.
std::atomic<time_t> wall_clock_offset{0};
std::atomic<time_t> monotonic_offset{0};

// In place of libc's, for the whole test.
extern "C" int clock_gettime(clockid_t clock, timespec* time) noexcept {
  const long result = syscall(SYS_clock_gettime, clock, time);
  if (clock == CLOCK_REALTIME) time->tv_sec += wall_clock_offset.load();
  if (clock == CLOCK_MONOTONIC) time->tv_sec += monotonic_offset.load();
  return static_cast<int>(result);
}

namespace fifobus {
namespace {

using Reaction = BackPressure::Reaction;
using Timeout = BackPressure::Timeout;

class BackPressureTest : public testing::Test {
 protected:
  ~BackPressureTest() override {
    wall_clock_offset = 0;
    monotonic_offset = 0;
  }

  Reaction OnFull(const std::shared_ptr<Valve>& valve,
                  Overflow overflow = Overflow::kDropOldest) {
    return pressure_.OnFull(valve, overflow, /*reader_gone=*/false);
  }

  const std::shared_ptr<FakeValve> valve_ = std::make_shared<FakeValve>();
  const std::shared_ptr<FakeValve> other_ = std::make_shared<FakeValve>();
  BackPressure pressure_{absl::Seconds(1)};
};

TEST_F(BackPressureTest, TheFirstPauseStartsTheClockAndEachValveIsPausedOnce) {
  EXPECT_EQ(OnFull(valve_), Reaction::kStartClock);
  EXPECT_EQ(OnFull(valve_), Reaction::kNothing);
  EXPECT_EQ(OnFull(other_), Reaction::kNothing);
  EXPECT_EQ(valve_->pauses, 1);
  EXPECT_EQ(pressure_.holds_up(), 2u);
  EXPECT_EQ(pressure_.OnBelowHalf().size(), 2u);
  EXPECT_EQ(pressure_.holds_up(), 0u);
}

TEST_F(BackPressureTest, AFullSpellThatOutlastsTheClockIsAStall) {
  EXPECT_EQ(OnFull(valve_), Reaction::kStartClock);
  EXPECT_EQ(pressure_.OnTimeout(Overflow::kDropOldest), Timeout::kStall);
  EXPECT_EQ(pressure_.Stall().size(), 1u);
  EXPECT_EQ(OnFull(valve_), Reaction::kMakeRoom);
  EXPECT_TRUE(pressure_.OnBelowHalf().empty());
  EXPECT_FALSE(pressure_.stalled());
}

TEST_F(BackPressureTest, ASpellThatBeganLaterHasAClockOfItsOwn) {
  EXPECT_EQ(OnFull(valve_), Reaction::kStartClock);
  (void)pressure_.OnBelowHalf();
  EXPECT_EQ(OnFull(valve_), Reaction::kNothing) << "the clock runs";
  EXPECT_EQ(pressure_.OnTimeout(Overflow::kDropOldest), Timeout::kStartClock);
  EXPECT_EQ(pressure_.OnTimeout(Overflow::kDropOldest), Timeout::kStall);
}

TEST_F(BackPressureTest, AnEndIsDueOnceAndThenAfterAnotherTimeout) {
  (void)pressure_.Stall();
  EXPECT_EQ(pressure_.BeginEnd(), Reaction::kStartClock);
  EXPECT_TRUE(pressure_.ReasonIsDue());
  EXPECT_FALSE(pressure_.ReasonIsDue());
  EXPECT_TRUE(pressure_.reason_said());
  EXPECT_EQ(pressure_.OnTimeout(Overflow::kDisconnect), Timeout::kEnd);
}

TEST_F(BackPressureTest, AWallClockThatIsSetStallsNobody) {
  pressure_.OnWritten(BackPressure::Taken::kPart);
  const absl::Time before = absl::Now();
  wall_clock_offset = 3600;
  ASSERT_GT(absl::Now() - before, absl::Minutes(59)) << "it is not in place";
  EXPECT_FALSE(pressure_.IsStuck());
  EXPECT_LT(pressure_.StuckFor(), absl::Minutes(1));
  EXPECT_EQ(OnFull(valve_), Reaction::kStartClock) << "and is not stalled";
}

TEST_F(BackPressureTest, OneThatReadNothingForTheTimeoutIsStalledAtOnce) {
  pressure_.OnWritten(BackPressure::Taken::kPart);
  wall_clock_offset = -3600;
  monotonic_offset = 2;
  EXPECT_TRUE(pressure_.IsStuck());
  EXPECT_EQ(OnFull(valve_), Reaction::kStall);
  pressure_.OnWritten(BackPressure::Taken::kNothing);
  EXPECT_TRUE(pressure_.IsStuck());
  pressure_.OnWritten(BackPressure::Taken::kAll);
  EXPECT_EQ(pressure_.StuckFor(), absl::ZeroDuration());
}

}  // namespace
}  // namespace fifobus
