#include "broker/io/parked_workers.h"

#include <atomic>
#include <memory>
#include <vector>

#include "gtest/gtest.h"
#include "tests/support/pipe_support.h"

namespace fifobus {
namespace {

class ParkedWorkersTest : public testing::Test {
 protected:
  ParkedWorkersTest() {
    for (int i = 0; i < 3; ++i) {
      auto worker = Worker::Start(i, BrokerOptions(), AdaptiveSpin(), nullptr);
      workers_.push_back(*std::move(worker));
    }
  }

  std::vector<std::unique_ptr<Worker>> workers_;
};

TEST_F(ParkedWorkersTest, WhatIsPostedWaitsUntilTheyAreReleased) {
  std::atomic<int> ran{0};
  workers_[1]->loop().Post([&] { ++ran; });
  {
    ParkedWorkers parked(workers_);
    EXPECT_EQ(ran, 1);
    EXPECT_TRUE(parked.AtRest());
    for (const auto& worker : workers_) worker->loop().Post([&] { ++ran; });
    EXPECT_FALSE(parked.AtRest());
    EXPECT_EQ(ran, 1);
  }
  EXPECT_TRUE(WaitUntil([&] { return ran == 4; }));
}

TEST_F(ParkedWorkersTest, WhatWasPostedBehindIsSeenToWait) {
  // A task that posts the next: at rest only when the last has run.
  std::atomic<int> ran{0};
  std::function<void()> task = [&] {
    if (++ran < 5) workers_[2]->loop().Post(task);
  };
  workers_[2]->loop().Post(task);
  int rounds = 0;
  while (!ParkedWorkers(workers_).AtRest()) ++rounds;
  EXPECT_EQ(ran, 5);
  EXPECT_LE(rounds, 5);
}

TEST_F(ParkedWorkersTest, ATaskRunsOnTheThreadOfItsWorker) {
  ParkedWorkers parked(workers_);
  int ran = 0;
  parked.RunOnEach([&](Worker& worker) {
    EXPECT_TRUE(worker.IsCurrent());
    ++ran;
  });
  EXPECT_EQ(ran, 3);
  parked.RunOn(*workers_[1], [&] { EXPECT_TRUE(workers_[1]->IsCurrent()); });
}

}  // namespace
}  // namespace fifobus
