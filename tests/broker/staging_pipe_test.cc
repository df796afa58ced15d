#include "broker/io/staging_pipe.h"

#include <string>
#include <vector>

#include "broker/io/fifo.h"
#include "gtest/gtest.h"
#include "tests/support/pipe_support.h"

namespace fifobus {
namespace {

// A text of which every place is known.
std::string Numbers(size_t size) {
  std::string text;
  for (int i = 0; text.size() < size; ++i) text += std::to_string(i) + ",";
  return text.substr(0, size);
}

// In pieces of odd sizes, so that a cut falls inside of one.
std::vector<Slice> Slices(std::string_view text) {
  std::vector<Slice> slices;
  for (size_t at = 0; at < text.size(); at += 777) {
    slices.push_back(
        {text.data() + at, std::min<size_t>(777, text.size() - at)});
  }
  return slices;
}

std::unique_ptr<StagingPipe> Make(PipeGrowth* growth = nullptr) {
  auto staging = StagingPipe::Create(growth);
  EXPECT_TRUE(staging.ok()) << staging.status();
  return *std::move(staging);
}

TEST(StagingPipe, ManyGetTheSameBytesAgainAndAgain) {
  const auto staging = Make();
  std::vector<PipeEnds> pipes(5);
  for (PipeEnds& pipe : pipes) pipe = MakePipe();
  for (size_t size = 1; size <= 8192; size = size * 2 + 1) {
    std::string text = Numbers(size);
    const std::string sent = text;
    const std::vector<Slice> slices = Slices(text);
    const Staged* staged = staging->Load(slices);
    ASSERT_NE(staged, nullptr);
    for (const PipeEnds& pipe : pipes) {
      const SinkResult result =
          WriteStaged(*staged, pipe.writing.get(), slices);
      EXPECT_EQ(result.outcome, SinkOutcome::kAll);
      EXPECT_EQ(result.bytes_taken, size);
    }
    staging->Unload();
    // The pages are the staging pipe's own.
    text.assign(size, '!');
    for (const PipeEnds& pipe : pipes) {
      EXPECT_TRUE(ReadBytes(pipe.reading.get(), size) == sent) << size;
    }
  }
}

TEST(StagingPipe, WhatHasNoRoomInItFollowsByWriting) {
  if (!PipesMayGrow()) GTEST_SKIP() << "this user's pipes are at their limit";
  const auto staging = Make();
  const std::string text = Numbers(100000);
  const std::vector<Slice> slices = Slices(text);
  const Staged* staged = staging->Load(slices);
  ASSERT_NE(staged, nullptr);
  ASSERT_LT(staged->bytes, text.size());
  const PipeEnds pipe = MakePipe();
  TrySetPipeBytes(pipe.writing.get(), 1 << 18);
  const SinkResult result = WriteStaged(*staged, pipe.writing.get(), slices);
  EXPECT_EQ(result.outcome, SinkOutcome::kAll);
  EXPECT_EQ(result.bytes_taken, text.size());
  EXPECT_TRUE(ReadBytes(pipe.reading.get(), text.size()) == text);
  staging->Unload();
}

TEST(StagingPipe, StagesNothingWhereThatWouldBeLittle) {
  const auto staging = Make();
  const std::string text = Numbers(200000);
  EXPECT_EQ(staging->Load(Slices(text)), nullptr);
  // It is empty again.
  const std::string small = Numbers(5000);
  const Staged* staged = staging->Load(Slices(small));
  ASSERT_NE(staged, nullptr);
  EXPECT_EQ(staged->bytes, small.size());
  staging->Unload();
}

TEST(StagingPipe, GrowsWithinTheBudgetOfAllPipes) {
  if (!PipesMayGrow()) GTEST_SKIP() << "this user's pipes are at their limit";
  const BrokerOptions options;
  PipeGrowth growth(options, options.ingress_pipe_bytes);
  const std::string text = Numbers(200000);
  {
    const auto staging = Make(&growth);
    EXPECT_EQ(staging->Load(Slices(text)), nullptr);
    const Staged* staged = staging->Load(Slices(text));
    ASSERT_NE(staged, nullptr);
    EXPECT_EQ(staged->bytes, text.size());
    staging->Unload();
    const auto late = Make(&growth);
    EXPECT_EQ(late->Load(Slices(text)), nullptr);
    EXPECT_EQ(late->Load(Slices(text)), nullptr) << "the budget is spent";
  }
  const auto next = Make(&growth);
  EXPECT_EQ(next->Load(Slices(text)), nullptr);
  EXPECT_NE(next->Load(Slices(text)), nullptr) << "it was given back";
  next->Unload();
}

TEST(StagingPipe, AShortCountIsTheLengthOfWhatArrived) {
  const auto staging = Make();
  const std::string text = Numbers(8000);
  const std::vector<Slice> slices = Slices(text);
  const Staged* staged = staging->Load(slices);
  ASSERT_NE(staged, nullptr);
  const PipeEnds pipe = MakeOnePagePipe();
  const SinkResult first = WriteStaged(*staged, pipe.writing.get(), slices);
  EXPECT_EQ(first.outcome, SinkOutcome::kWouldBlock);
  EXPECT_GT(first.bytes_taken, 0u);
  EXPECT_LT(first.bytes_taken, text.size());
  EXPECT_EQ(UnreadBytes(pipe.reading.get()), first.bytes_taken);
  const SinkResult full = WriteStaged(*staged, pipe.writing.get(), slices);
  EXPECT_EQ(full.outcome, SinkOutcome::kWouldBlock);
  EXPECT_EQ(full.bytes_taken, 0u);
  EXPECT_TRUE(ReadBytes(pipe.reading.get(), first.bytes_taken) ==
              text.substr(0, first.bytes_taken));
  staging->Unload();
}

TEST(StagingPipe, AReaderThatIsGoneTakesNothing) {
  TestWorker worker;  // SIGPIPE is blocked on workers, as WriteStaged requires
  worker.Do([] {
    const auto staging = Make();
    const std::string text = Numbers(5000);
    const std::vector<Slice> slices = Slices(text);
    const Staged* staged = staging->Load(slices);
    ASSERT_NE(staged, nullptr);
    PipeEnds gone = MakePipe();
    gone.reading.Reset();
    const SinkResult result = WriteStaged(*staged, gone.writing.get(), slices);
    EXPECT_EQ(result.outcome, SinkOutcome::kNoReader);
    EXPECT_EQ(result.bytes_taken, 0u);
    const PipeEnds next = MakePipe();
    EXPECT_EQ(WriteStaged(*staged, next.writing.get(), slices).outcome,
              SinkOutcome::kAll);
    EXPECT_TRUE(ReadBytes(next.reading.get(), text.size()) == text);
    staging->Unload();
  });
}

}  // namespace
}  // namespace fifobus
