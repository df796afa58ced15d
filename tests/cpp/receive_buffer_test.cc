#include "clients/cpp/internal/receive_buffer.h"

#include <fcntl.h>
#include <unistd.h>

#include <random>
#include <string>

#include "broker/io/fifo.h"
#include "gtest/gtest.h"
#include "proto/frame.h"
#include "tests/support/core_fakes.h"
#include "tests/support/pipe_support.h"

namespace fifobus {
namespace {

using FillOutcome = ReceiveBuffer::FillOutcome;

class ReceiveBufferTest : public testing::Test {
 protected:
  void Write(std::string_view bytes) {
    ASSERT_EQ(write(pipe_.writing.get(), bytes.data(), bytes.size()),
              static_cast<ssize_t>(bytes.size()));
  }
  FillOutcome Fill(ReceiveBuffer& buffer) {
    return buffer.Fill(pipe_.reading.get());
  }

  PipeEnds pipe_ = MakePipe();
};

TEST_F(ReceiveBufferTest, TellsBytesEmptinessAndTheEndApart) {
  ReceiveBuffer buffer(1 << 20);
  EXPECT_EQ(Fill(buffer), FillOutcome::kEmpty);
  Write("hello");
  EXPECT_EQ(Fill(buffer), FillOutcome::kBytes);
  EXPECT_EQ(buffer.untaken(), "hello");
  pipe_.writing.Reset();
  EXPECT_EQ(Fill(buffer), FillOutcome::kEnd);
  EXPECT_EQ(buffer.untaken(), "hello") << "what is there stays";
}

TEST_F(ReceiveBufferTest, WhatRepeatsIsForgottenWhenItsPlaceIsUsedAgain) {
  ReceiveBuffer buffer(1 << 20);
  const std::string first = MessageFrame("t", "x");
  Write(first);
  ASSERT_EQ(Fill(buffer), FillOutcome::kBytes);
  const std::string_view taken = buffer.untaken();
  buffer.Take(taken.size());
  buffer.repeated().Remember(taken, ReadMessageFrame(taken));
  EXPECT_TRUE(buffer.repeated().IsFrontOf(first));
  buffer.Release();
  const std::string second = MessageFrame("t", "yy");
  Write(second);
  ASSERT_EQ(Fill(buffer), FillOutcome::kBytes);
  ASSERT_EQ(buffer.untaken().data(), taken.data());
  EXPECT_FALSE(buffer.repeated().IsFrontOf(buffer.untaken()));
}

TEST_F(ReceiveBufferTest, ScanningLooksAheadOfTaking) {
  ReceiveBuffer buffer(1 << 20);
  Write("abcdef");
  ASSERT_EQ(Fill(buffer), FillOutcome::kBytes);
  buffer.Keep(4);
  buffer.EndScan();
  EXPECT_EQ(buffer.unscanned(), "ef");
  EXPECT_EQ(buffer.untaken(), "abcdef");
  buffer.Take(2);
  EXPECT_TRUE(buffer.HasKept());
  EXPECT_EQ(buffer.unscanned(), "ef");
  buffer.Take(3);
  EXPECT_FALSE(buffer.HasKept()) << "what is taken counts as scanned";
  EXPECT_EQ(buffer.unscanned(), "f");
}

TEST_F(ReceiveBufferTest, WhatIsDroppedIsNotThereToBeTaken) {
  ReceiveBuffer buffer(1 << 20);
  Write("aaXbbbYYc");
  ASSERT_EQ(Fill(buffer), FillOutcome::kBytes);
  buffer.Keep(2);
  buffer.Drop(1);
  buffer.Keep(3);
  buffer.Drop(2);
  EXPECT_EQ(buffer.unscanned(), "c");
  buffer.EndScan();
  EXPECT_EQ(buffer.untaken(), "aabbbc");
  EXPECT_EQ(buffer.unscanned(), "c");
  Write("d");
  ASSERT_EQ(Fill(buffer), FillOutcome::kBytes);
  EXPECT_EQ(buffer.untaken(), "aabbbcd");
}

TEST_F(ReceiveBufferTest, WhatIsDroppedTakesNoRoom) {
  ReceiveBuffer buffer(1000);
  Write("viewed");
  ASSERT_EQ(Fill(buffer), FillOutcome::kBytes);
  const std::string_view viewed = buffer.untaken();
  buffer.Take(viewed.size());
  const std::string answer(900, 'x');
  for (int i = 0; i < 1000; ++i) {
    Write(answer);
    ASSERT_EQ(Fill(buffer), FillOutcome::kBytes);
    buffer.Drop(answer.size());
    buffer.EndScan();
    ASSERT_TRUE(buffer.untaken().empty());
    ASSERT_FALSE(buffer.full());
  }
  EXPECT_EQ(viewed, "viewed") << "as long as it is not released";
}

TEST_F(ReceiveBufferTest, DropUnscannedLeavesWhatWasKept) {
  ReceiveBuffer buffer(1 << 20);
  Write("aaXbbbad");
  ASSERT_EQ(Fill(buffer), FillOutcome::kBytes);
  buffer.Keep(2);
  buffer.Drop(1);
  buffer.Keep(2);
  buffer.DropUnscanned();
  buffer.EndScan();
  EXPECT_EQ(buffer.untaken(), "aabb");
  EXPECT_EQ(buffer.unscanned(), "");
}

TEST_F(ReceiveBufferTest, WhatIsReadAheadIsBoundedButAFrameIsCompleted) {
  ReceiveBuffer buffer(100);
  Write(std::string(150, 'x'));
  ASSERT_EQ(Fill(buffer), FillOutcome::kBytes);
  EXPECT_TRUE(buffer.full());
  Write("y");
  EXPECT_EQ(Fill(buffer), FillOutcome::kFull);
  buffer.Want(151);
  EXPECT_EQ(Fill(buffer), FillOutcome::kBytes);
  EXPECT_EQ(buffer.untaken().size(), 151u);
  EXPECT_EQ(Fill(buffer), FillOutcome::kFull);
  buffer.Take(100);
  EXPECT_EQ(Fill(buffer), FillOutcome::kEmpty) << "there is room again";
}

TEST_F(ReceiveBufferTest, ClearForgetsEverything) {
  ReceiveBuffer buffer(100);
  Write(std::string(150, 'x'));
  ASSERT_EQ(Fill(buffer), FillOutcome::kBytes);
  buffer.Keep(10);
  buffer.Drop(10);
  buffer.Clear();
  EXPECT_TRUE(buffer.untaken().empty());
  EXPECT_TRUE(buffer.unscanned().empty());
  EXPECT_FALSE(buffer.full());
}

TEST_F(ReceiveBufferTest, AStreamComesOutAsItWentIn) {
  std::mt19937 random(testing::UnitTest::GetInstance()->random_seed());
  ReceiveBuffer buffer(1 << 20);
  std::string written;
  std::string taken;
  while (taken.size() < (4u << 20)) {
    const size_t size = 1 + random() % PipeBytes(pipe_.writing.get());
    std::string bytes(size, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    Write(bytes);
    written += bytes;
    ASSERT_EQ(Fill(buffer), FillOutcome::kBytes);
    // Some stays behind, so that it must be moved now and then.
    const size_t take = random() % (buffer.untaken().size() + 1);
    taken += buffer.untaken().substr(0, take);
    buffer.Take(take);
    if (buffer.untaken().size() > 300000) {
      taken += buffer.untaken();
      buffer.Take(buffer.untaken().size());
    }
  }
  taken += buffer.untaken();
  EXPECT_TRUE(taken == written);
}

TEST_F(ReceiveBufferTest, WhatIsTakenStaysWhereItIsUntilItIsReleased) {
  ReceiveBuffer buffer(1 << 20);
  Write("first");
  ASSERT_EQ(Fill(buffer), FillOutcome::kBytes);
  const std::string_view taken = buffer.untaken();
  buffer.Take(taken.size());
  // More than its capacity, so that the rest must move.
  const std::string more(60'000, 'x');
  for (int i = 0; i < 10; ++i) {
    Write(more);
    ASSERT_EQ(Fill(buffer), FillOutcome::kBytes);
  }
  EXPECT_EQ(taken, "first");
  EXPECT_EQ(buffer.untaken().size(), 10 * more.size());
  buffer.Clear();
  EXPECT_EQ(taken, "first");
  buffer.Release();
  Write("again");
  ASSERT_EQ(Fill(buffer), FillOutcome::kBytes);
  EXPECT_EQ(buffer.untaken(), "again");
}

}  // namespace
}  // namespace fifobus
