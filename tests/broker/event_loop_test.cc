#include "broker/io/event_loop.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <atomic>
#include <vector>

#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "tests/support/pipe_support.h"

namespace fifobus {
namespace {

// Counts what it is told; does not read.
class Recorder : public Pollable {
 public:
  explicit Recorder(std::function<void()> on_turn = nullptr)
      : on_turn_(std::move(on_turn)) {}
  void OnEvents(uint32_t events) override {
    last_events = events;
    ++wakes;
  }
  void OnTurn() override {
    ++turns;
    if (on_turn_) on_turn_();
  }

  std::atomic<int> wakes{0};
  std::atomic<uint32_t> last_events{0};
  std::atomic<int> turns{0};

 private:
  const std::function<void()> on_turn_;
};

class EventLoopTest : public testing::Test {
 protected:
  EventLoop::Registration Add(int fd, uint32_t events, Pollable& pollable) {
    EventLoop::Registration registration;
    test_.Do([&] {
      auto added = test_.loop().Add(fd, events, pollable);
      ASSERT_TRUE(added.ok()) << added.status();
      registration = *added;
    });
    return registration;
  }
  void Remove(int fd, EventLoop::Registration registration) {
    test_.Do([&] { test_.loop().Remove(fd, registration); });
  }

  TestWorker test_;
};

TEST_F(EventLoopTest, TasksRunInTheirOrderOnTheLoopsThread) {
  std::vector<int> ran;
  for (int i = 0; i < 100; ++i) {
    test_.loop().Post([&ran, this, i] {
      EXPECT_TRUE(test_.worker().IsCurrent());
      ran.push_back(i);
    });
  }
  test_.Do([] {});
  ASSERT_EQ(ran.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(ran[i], i);
}

TEST_F(EventLoopTest, ATaskMayPostAnother) {
  std::atomic<bool> ran{false};
  test_.loop().Post([&] { test_.loop().Post([&] { ran = true; }); });
  EXPECT_TRUE(WaitUntil([&] { return ran.load(); }));
}

TEST_F(EventLoopTest, AnEdgeIsReportedOnce) {
  PipeEnds pipe = MakePipe();
  Recorder recorder;
  const auto registration = Add(pipe.reading.get(), EPOLLIN, recorder);
  ASSERT_EQ(write(pipe.writing.get(), "x", 1), 1);
  EXPECT_TRUE(WaitUntil([&] { return recorder.wakes == 1; }));
  const uint64_t rounds = test_.Rounds();
  for (int i = 0; i < 10; ++i) test_.Do([] {});
  EXPECT_EQ(recorder.wakes, 1) << "the byte still lies there";
  EXPECT_LE(test_.Rounds(), rounds + 11) << "one round for each task";
  Remove(pipe.reading.get(), registration);
}

TEST_F(EventLoopTest, ALevelIsReportedUntilOnlyItsEdgesAreWanted) {
  PipeEnds pipe = MakePipe();
  Recorder recorder;
  EventLoop::Registration registration;
  test_.Do([&] {
    registration = *test_.loop().Add(pipe.reading.get(), EPOLLIN, recorder,
                                     EventLoop::Trigger::kLevel);
  });
  ASSERT_EQ(write(pipe.writing.get(), "x", 1), 1);
  EXPECT_TRUE(WaitUntil([&] { return recorder.wakes > 10; }));
  test_.Do([&] {
    test_.loop().Change(pipe.reading.get(), EPOLLIN, registration,
                        EventLoop::Trigger::kEdge);
  });
  // What is there comes as an event once more, before the second task.
  test_.Do([] {});
  test_.Do([] {});
  const int wakes = recorder.wakes;
  const uint64_t rounds = test_.Rounds();
  for (int i = 0; i < 10; ++i) test_.Do([] {});
  EXPECT_EQ(recorder.wakes, wakes);
  EXPECT_LE(test_.Rounds(), rounds + 11) << "one round for each task";
  Remove(pipe.reading.get(), registration);
}

TEST_F(EventLoopTest, AHangUpDoesNotKeepItAwake) {
  PipeEnds pipe = MakePipe();
  Recorder recorder;
  const auto registration = Add(pipe.reading.get(), EPOLLIN, recorder);
  pipe.writing.Reset();
  EXPECT_TRUE(WaitUntil([&] { return recorder.wakes == 1; }));
  EXPECT_NE(recorder.last_events & EPOLLHUP, 0u);
  const uint64_t rounds = test_.Rounds();
  for (int i = 0; i < 10; ++i) test_.Do([] {});
  EXPECT_LE(test_.Rounds(), rounds + 11);
  EXPECT_EQ(recorder.wakes, 1);
  Remove(pipe.reading.get(), registration);
}

TEST_F(EventLoopTest, TurnsGoRound) {
  std::vector<char> turns;
  EventLoop::Registration a_registration;
  EventLoop::Registration b_registration;
  // A flood: `a` asks again in each of its turns.
  Recorder a([&] {
    turns.push_back('a');
    if (turns.size() < 20) test_.loop().Ready(a_registration);
  });
  Recorder b([&] {
    turns.push_back('b');
    if (turns.size() < 20) test_.loop().Ready(b_registration);
  });
  PipeEnds pipe = MakePipe();
  PipeEnds other = MakePipe();
  a_registration = Add(pipe.reading.get(), EPOLLIN, a);
  b_registration = Add(other.reading.get(), EPOLLIN, b);
  test_.Do([&] {
    test_.loop().Ready(a_registration);
    test_.loop().Ready(a_registration);  // counts once
    test_.loop().Ready(b_registration);
  });
  EXPECT_TRUE(WaitUntil([&] { return a.turns + b.turns >= 20; }));
  test_.Do([&] {
    for (size_t i = 0; i + 1 < turns.size(); ++i) {
      EXPECT_NE(turns[i], turns[i + 1]) << "at " << i;
    }
  });
  Remove(pipe.reading.get(), a_registration);
  Remove(other.reading.get(), b_registration);
}

TEST_F(EventLoopTest, NothingComesAfterRemoveNotEvenATurn) {
  PipeEnds pipe = MakePipe();
  Recorder recorder;
  auto registration = Add(pipe.reading.get(), EPOLLIN, recorder);
  test_.Do([&] {
    test_.loop().Ready(registration);
    test_.loop().Remove(pipe.reading.get(), registration);
  });
  ASSERT_EQ(write(pipe.writing.get(), "x", 1), 1);
  test_.Do([] {});
  EXPECT_EQ(recorder.wakes, 0);
  EXPECT_EQ(recorder.turns, 0);
}

TEST_F(EventLoopTest, ASlotThatIsTakenAgainIsNotConfused) {
  PipeEnds pipe = MakePipe();
  Recorder first;
  Recorder second;
  auto old_registration = Add(pipe.reading.get(), EPOLLIN, first);
  const auto copy = old_registration;
  Remove(pipe.reading.get(), old_registration);
  const auto registration = Add(pipe.reading.get(), EPOLLIN, second);
  EXPECT_EQ(copy.slot, registration.slot);
  test_.Do([&] { test_.loop().Ready(copy); });
  test_.Do([] {});
  EXPECT_EQ(first.turns + second.turns, 0);
  Remove(pipe.reading.get(), registration);
}

TEST_F(EventLoopTest, TimersRunInTheirOrderUnlessCancelled) {
  std::vector<int> ran;
  std::atomic<bool> done{false};
  test_.Do([&] {
    test_.loop().RunAfter(absl::Milliseconds(20), [&] {
      ran.push_back(2);
      done = true;
    });
    test_.loop().RunAfter(absl::Milliseconds(10), [&] { ran.push_back(1); });
    const auto id = test_.loop().RunAfter(absl::Milliseconds(15),
                                          [&] { ran.push_back(0); });
    test_.loop().Cancel(id);
  });
  EXPECT_TRUE(WaitUntil([&] { return done.load(); }));
  test_.Do([&] { EXPECT_EQ(ran, (std::vector<int>{1, 2})); });
}

// How often a loop that only waits for a timer looks for events.
uint64_t RoundsUntilATimer(const AdaptiveSpin& spin) {
  auto loop = EventLoop::Create(spin);
  EXPECT_TRUE(loop.ok()) << loop.status();
  (*loop)->RunAfter(absl::Milliseconds(150), [&] { (*loop)->Stop(); });
  (*loop)->Run();
  return (*loop)->rounds();
}

TEST(EventLoopSpinTest, ALoopPollsOnlyIfItIsToSpin) {
  EXPECT_LE(RoundsUntilATimer(AdaptiveSpin()), 3u);
  EXPECT_LE(RoundsUntilATimer(AdaptiveSpin(absl::Milliseconds(100))), 3u)
      << "nothing has come soon yet";
  EXPECT_GT(RoundsUntilATimer(AdaptiveSpin::Always(absl::Milliseconds(100))),
            10u);
}

}  // namespace
}  // namespace fifobus
