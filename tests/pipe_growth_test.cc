#include "broker/io/pipe_growth.h"

#include "broker/io/fifo.h"
#include "gtest/gtest.h"
#include "tests/pipe_support.h"

namespace fifobus {
namespace {

BrokerOptions Options(size_t bytes_max) {
  BrokerOptions options;
  options.busy_pipe_bytes = 8192;
  options.large_pipe_bytes = 16384;
  options.grown_pipes_bytes_max = bytes_max;
  return options;
}

class PipeGrowthTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!PipesMayGrow()) GTEST_SKIP() << "this user's pipes are at their limit";
  }
};

TEST_F(PipeGrowthTest, AFullPipeGrowsOnceForEachSize) {
  PipeGrowth growth(Options(1 << 20));
  GrowingPipe growing(&growth);
  const PipeEnds pipe = MakeOnePagePipe();
  growing.OnFull(pipe.writing.get(), 5000);
  EXPECT_EQ(PipeBytes(pipe.writing.get()), 8192u);
  TrySetPipeBytes(pipe.writing.get(), 4096);
  growing.OnFull(pipe.writing.get(), 8192);
  EXPECT_EQ(PipeBytes(pipe.writing.get()), 4096u);
  growing.OnFull(pipe.writing.get(), 8193);
  EXPECT_EQ(PipeBytes(pipe.writing.get()), 16384u);
  growing.OnFull(pipe.writing.get(), 1 << 20);
  EXPECT_EQ(PipeBytes(pipe.writing.get()), 16384u);
  growing.GiveBack();
}

TEST_F(PipeGrowthTest, WhatAClosedPipeTookIsForOthers) {
  PipeGrowth growth(Options(2 * 8192 + 4096));
  GrowingPipe first(&growth);
  GrowingPipe second(&growth);
  GrowingPipe third(&growth);
  const PipeEnds a = MakeOnePagePipe();
  const PipeEnds b = MakeOnePagePipe();
  const PipeEnds c = MakeOnePagePipe();
  first.OnFull(a.writing.get(), 1);
  second.OnFull(b.writing.get(), 1);
  third.OnFull(c.writing.get(), 1);
  EXPECT_EQ(PipeBytes(b.writing.get()), 8192u);
  EXPECT_EQ(PipeBytes(c.writing.get()), 4096u) << "too little is left";
  first.GiveBack();
  third.OnFull(c.writing.get(), 1);
  EXPECT_EQ(PipeBytes(c.writing.get()), 8192u);
  second.GiveBack();
  third.GiveBack();
}

TEST_F(PipeGrowthTest, HalfIsKeptForTheSmallerSize) {
  PipeGrowth growth(Options(2 * 16384));
  GrowingPipe first(&growth);
  GrowingPipe second(&growth);
  GrowingPipe third(&growth);
  const PipeEnds a = MakeOnePagePipe();
  const PipeEnds b = MakeOnePagePipe();
  const PipeEnds c = MakeOnePagePipe();
  first.OnFull(a.writing.get(), 10000);
  EXPECT_EQ(PipeBytes(a.writing.get()), 16384u);
  second.OnFull(b.writing.get(), 10000);
  EXPECT_EQ(PipeBytes(b.writing.get()), 8192u) << "better than none";
  third.OnFull(c.writing.get(), 1);
  EXPECT_EQ(PipeBytes(c.writing.get()), 8192u);
  first.GiveBack();
  third.GiveBack();
  second.OnFull(b.writing.get(), 10000);
  EXPECT_EQ(PipeBytes(b.writing.get()), 16384u) << "there is room now";
  second.GiveBack();
}

TEST_F(PipeGrowthTest, WithoutABudgetNoneGrows) {
  PipeGrowth growth(Options(0));
  GrowingPipe growing(&growth);
  const PipeEnds pipe = MakeOnePagePipe();
  growing.OnFull(pipe.writing.get(), 5000);
  EXPECT_EQ(PipeBytes(pipe.writing.get()), 4096u);
  growing.GiveBack();
}

}  // namespace
}  // namespace fifobus
