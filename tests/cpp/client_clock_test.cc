// The wall clock is set while a client waits: nothing of it waits longer, or
// stops waiting. This program has a wall clock of its own, which its clients
// and its broker read.

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <memory>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "clients/cpp/client.h"
#include "gtest/gtest.h"
#include "tests/support/bus_support.h"

namespace {

std::atomic<int64_t> wall_clock_offset{0};     // seconds
std::atomic<int64_t> step_at_each_reading{0};  // seconds

}  // namespace

// Takes the place of the C library's: this program is linked first.
extern "C" int clock_gettime(clockid_t id, timespec* now) noexcept {
  const auto result = static_cast<int>(syscall(SYS_clock_gettime, id, now));
  if (id == CLOCK_REALTIME && result == 0) {
    now->tv_sec += wall_clock_offset += step_at_each_reading;
  }
  return result;
}

namespace fifobus {
namespace {

constexpr int64_t kHour = 3600;

class ClockTest : public testing::TestWithParam<int64_t> {
 protected:
  ~ClockTest() override {
    step_at_each_reading = 0;
    wall_clock_offset = 0;
  }
  // From now on the wall clock steps whenever somebody looks at it.
  static void StepAtEachReading() { step_at_each_reading = GetParam(); }
};

TEST_P(ClockTest, IsTheOneThatTheTestSets) {
  const absl::Time before = absl::Now();
  wall_clock_offset = 10 * kHour;
  EXPECT_GT(absl::Now() - before, absl::Hours(9));
}

TEST_P(ClockTest, DeadlinesComeInTime) {
  const TestBus bus;
  const auto client = bus.Subscribe("a");
  const Deadline deadline = absl::Milliseconds(50);
  const Deadline by_wall_clock = absl::Now() + absl::Milliseconds(50);
  StepAtEachReading();
  const Deadline hang = kHang;
  for (const Mode mode : {Mode::kBlocking, Mode::kBusyPoll}) {
    client->set_mode(mode);
    EXPECT_EQ(client->Receive(deadline).outcome, ReceiveOutcome::kTimedOut);
    EXPECT_EQ(client->Receive(by_wall_clock).outcome,
              ReceiveOutcome::kTimedOut);
    EXPECT_EQ(client->Receive(absl::Milliseconds(50)).outcome,
              ReceiveOutcome::kTimedOut);
  }
  EXPECT_FALSE(hang.HasCome());
}

TEST_P(ClockTest, DeadlinesComeNotBeforeTheirTime) {
  const TestBus bus;
  const auto client = bus.Subscribe("a");
  const auto publisher = bus.Connect();
  const Deadline hang = kHang;
  StepAtEachReading();
  ASSERT_EQ(publisher->Publish("a", "x", hang), PublishOutcome::kSent);
  EXPECT_EQ(client->Receive(hang).outcome, ReceiveOutcome::kMessage);
  EXPECT_TRUE(client->Ping(kHang).ok());
}

TEST_P(ClockTest, AnswersAreAwaitedForTheirTime) {
  TestBus bus;
  const auto client = bus.Subscribe("a");
  bus.Stop();
  StepAtEachReading();
  const Deadline hang = kHang;
  EXPECT_FALSE(client->Ping(absl::Milliseconds(50)).ok());
  EXPECT_FALSE(client->Subscribe("b", absl::Milliseconds(50)).ok());
  EXPECT_FALSE(client->Request("b", "x", absl::Milliseconds(50)).ok());
  EXPECT_EQ(client->Publish("b", "x", absl::Milliseconds(50)),
            PublishOutcome::kTimedOut);
  ClientOptions options;
  options.dir = bus.dir();
  options.connect_timeout = absl::Milliseconds(50);
  EXPECT_FALSE(Client::Connect(options).ok());
  EXPECT_FALSE(hang.HasCome());
}

TEST_P(ClockTest, ARequestIsGivenUpInTime) {
  const TestBus bus;
  const auto responder = bus.Subscribe("r");
  const auto client = bus.Connect();
  MessageFields request;
  request.topic = "r";
  const auto sent = client->SendRequest(request, absl::Milliseconds(50));
  ASSERT_EQ(sent.outcome, PublishOutcome::kSent);
  StepAtEachReading();
  const Received got = client->Receive(kHang);
  ASSERT_EQ(got.outcome, ReceiveOutcome::kReply);
  EXPECT_EQ(got.reply_outcome, ReplyOutcome::kTimedOut);
}

TEST_P(ClockTest, AClientComesBack) {
  TestBus bus;
  const auto client = bus.Subscribe("a");
  bus.Stop();
  // Schedules its next try, and perhaps the one after.
  EXPECT_FALSE(client->Ping(absl::Milliseconds(20)).ok());
  wall_clock_offset += GetParam();
  bus.Restart();
  EXPECT_TRUE(client->Ping(kHang).ok());
}

INSTANTIATE_TEST_SUITE_P(Steps, ClockTest, testing::Values(-kHour, kHour));

}  // namespace
}  // namespace fifobus
