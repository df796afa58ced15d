#include "broker/io/pipe_growth.h"

#include "broker/io/fifo.h"
#include "gtest/gtest.h"
#include "tests/support/pipe_support.h"

namespace fifobus {
namespace {

constexpr size_t kIngressBytes = 8192;
constexpr size_t kEgressBytes = 16384;
constexpr size_t kLargeBytes = 32768;

BrokerOptions Sizes() {
  BrokerOptions options;
  options.ingress_pipe_bytes = kIngressBytes;
  options.egress_pipe_bytes = kEgressBytes;
  options.large_pipe_bytes = kLargeBytes;
  return options;
}

class PipeGrowthTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!PipesMayGrow()) GTEST_SKIP() << "this user's pipes are at their limit";
  }
};

TEST_F(PipeGrowthTest, AFullPipeGrowsOnceForEachSize) {
  PipeGrowth growth(Sizes(), 1 << 20);
  GrowingPipe growing(&growth, PipeUse::kIngress);
  const PipeEnds pipe = MakeOnePagePipe();
  growing.OnFull(pipe.writing.get(), 5000);
  EXPECT_EQ(PipeBytes(pipe.writing.get()), kIngressBytes);
  TrySetPipeBytes(pipe.writing.get(), 4096);
  growing.OnFull(pipe.writing.get(), kIngressBytes);
  EXPECT_EQ(PipeBytes(pipe.writing.get()), 4096u);
  growing.OnFull(pipe.writing.get(), kIngressBytes + 1);
  EXPECT_EQ(PipeBytes(pipe.writing.get()), kLargeBytes);
  growing.OnFull(pipe.writing.get(), 1 << 20);
  EXPECT_EQ(PipeBytes(pipe.writing.get()), kLargeBytes);
  growing.GiveBack();
}

TEST_F(PipeGrowthTest, ASubscribersPipeGrowsToASizeOfItsOwn) {
  PipeGrowth growth(Sizes(), 1 << 20);
  GrowingPipe growing(&growth, PipeUse::kEgress);
  const PipeEnds pipe = MakeOnePagePipe();
  growing.OnFull(pipe.writing.get(), 5000);
  EXPECT_EQ(PipeBytes(pipe.writing.get()), kEgressBytes);
  growing.OnFull(pipe.writing.get(), kEgressBytes + 1);
  EXPECT_EQ(PipeBytes(pipe.writing.get()), kLargeBytes);
  growing.GiveBack();
}

TEST_F(PipeGrowthTest, WhatAClosedPipeTookIsForOthers) {
  PipeGrowth growth(Sizes(), 2 * kIngressBytes + 4096);
  GrowingPipe first(&growth, PipeUse::kIngress);
  GrowingPipe second(&growth, PipeUse::kIngress);
  GrowingPipe third(&growth, PipeUse::kIngress);
  const PipeEnds a = MakeOnePagePipe();
  const PipeEnds b = MakeOnePagePipe();
  const PipeEnds c = MakeOnePagePipe();
  first.OnFull(a.writing.get(), 1);
  second.OnFull(b.writing.get(), 1);
  third.OnFull(c.writing.get(), 1);
  EXPECT_EQ(PipeBytes(b.writing.get()), kIngressBytes);
  EXPECT_EQ(PipeBytes(c.writing.get()), 4096u) << "too little is left";
  first.GiveBack();
  third.OnFull(c.writing.get(), 1);
  EXPECT_EQ(PipeBytes(c.writing.get()), kIngressBytes);
  second.GiveBack();
  third.GiveBack();
}

TEST_F(PipeGrowthTest, HalfIsKeptForTheSmallestSize) {
  PipeGrowth growth(Sizes(), 2 * (kLargeBytes + kEgressBytes));
  GrowingPipe first(&growth, PipeUse::kEgress);
  GrowingPipe second(&growth, PipeUse::kEgress);
  GrowingPipe third(&growth, PipeUse::kEgress);
  const PipeEnds a = MakeOnePagePipe();
  const PipeEnds b = MakeOnePagePipe();
  const PipeEnds c = MakeOnePagePipe();
  EXPECT_TRUE(growth.IsRoomy());
  first.OnFull(a.writing.get(), 1 << 20);
  EXPECT_EQ(PipeBytes(a.writing.get()), kLargeBytes);
  EXPECT_TRUE(growth.IsRoomy());
  second.OnFull(b.writing.get(), 1 << 20);
  EXPECT_EQ(PipeBytes(b.writing.get()), kEgressBytes) << "better than none";
  EXPECT_FALSE(growth.IsRoomy());
  third.OnFull(c.writing.get(), 1 << 20);
  EXPECT_EQ(PipeBytes(c.writing.get()), kIngressBytes);
  first.GiveBack();
  EXPECT_TRUE(growth.IsRoomy());
  second.OnFull(b.writing.get(), 1 << 20);
  EXPECT_EQ(PipeBytes(b.writing.get()), kLargeBytes) << "there is room now";
  second.GiveBack();
  third.GiveBack();
}

TEST_F(PipeGrowthTest, WithoutABudgetNoneGrows) {
  PipeGrowth growth(Sizes(), 0);
  GrowingPipe growing(&growth, PipeUse::kEgress);
  const PipeEnds pipe = MakeOnePagePipe();
  EXPECT_FALSE(growth.IsRoomy());
  growing.OnFull(pipe.writing.get(), 5000);
  EXPECT_EQ(PipeBytes(pipe.writing.get()), 4096u);
  growing.GiveBack();
}

}  // namespace
}  // namespace fifobus
