#include "broker/core/logs/log_watch.h"

#include <functional>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "gtest/gtest.h"

namespace fifobus {
namespace {

class CountingWaiter : public LogWaiter {
 public:
  void OnLogProgress() override {
    ++told;
    if (then) then();
  }
  int told = 0;
  std::function<void()> then;
};

class LogWatchTest : public testing::Test {
 protected:
  void RunPosted() {
    for (const auto& task : std::exchange(posted_, {})) task();
  }

  std::vector<std::function<void()>> posted_;
  std::vector<absl::Duration> delays_;
  LogWatch watch_{[this](absl::Duration delay, std::function<void()> task) {
    delays_.push_back(delay);
    posted_.push_back(std::move(task));
  }};
  CountingWaiter a_;
  CountingWaiter b_;
};

TEST_F(LogWatchTest, NothingIsPostedWhileNobodyWaits) {
  watch_.Wake();
  EXPECT_TRUE(posted_.empty());
  watch_.Add(a_);
  watch_.Remove(a_);
  watch_.Wake();
  EXPECT_TRUE(posted_.empty());
}

TEST_F(LogWatchTest, ManyWakesAreOneTask) {
  watch_.Add(a_);
  watch_.Add(a_);
  watch_.Add(b_);
  watch_.Wake();
  watch_.Wake();
  EXPECT_EQ(posted_.size(), 1u);
  RunPosted();
  EXPECT_EQ(a_.told, 1);
  EXPECT_EQ(b_.told, 1);
  watch_.Wake();
  RunPosted();
  EXPECT_EQ(a_.told, 2);
}

TEST_F(LogWatchTest, AWakeWhileTheyAreToldTellsThemOnceMore) {
  watch_.Add(a_);
  a_.then = [this] {
    if (a_.told == 1) watch_.Wake();
  };
  watch_.Wake();
  RunPosted();
  ASSERT_EQ(posted_.size(), 1u);
  RunPosted();
  EXPECT_EQ(a_.told, 2);
  EXPECT_TRUE(posted_.empty());
}

TEST_F(LogWatchTest, AWaiterMayRemoveItselfAndOthersWhileItIsTold) {
  watch_.Add(a_);
  watch_.Add(b_);
  a_.then = [this] {
    watch_.Remove(a_);
    watch_.Remove(b_);
  };
  watch_.Wake();
  RunPosted();
  EXPECT_EQ(a_.told, 1);
  EXPECT_EQ(b_.told, 0);
  watch_.Wake();
  EXPECT_TRUE(posted_.empty());
}

TEST_F(LogWatchTest, AWaiterThatIsAddedWhileOthersAreToldStays) {
  watch_.Add(a_);
  a_.then = [this] {
    watch_.Remove(a_);
    watch_.Add(b_);
  };
  watch_.Wake();
  RunPosted();
  const int told = b_.told;
  watch_.Wake();
  RunPosted();
  EXPECT_EQ(b_.told, told + 1);
}

TEST_F(LogWatchTest, AWakeMayComeLater) {
  watch_.Add(a_);
  watch_.WakeAfter(absl::Seconds(3));
  ASSERT_EQ(delays_, (std::vector<absl::Duration>{absl::Seconds(3)}));
  RunPosted();
  RunPosted();
  EXPECT_EQ(a_.told, 1);
}

}  // namespace
}  // namespace fifobus
