#include "broker/base/log_queue.h"

#include <fcntl.h>
#include <unistd.h>

#include <string>

#include "broker/base/clock.h"
#include "gtest/gtest.h"
#include "tests/support/pipe_support.h"

namespace fifobus {
namespace {

std::string Notice(uint64_t lines) {
  return "dropped " + std::to_string(lines) + "\n";
}

// A queue and its thread live as long as the process, and so does its
// descriptor.
LogQueue& MakeQueue(UniqueFd fd, size_t bytes_max) {
  return *new LogQueue(fd.Release(), bytes_max, Notice);
}

std::string Line(int number) { return "line " + std::to_string(number) + "\n"; }

TEST(LogQueueTest, LinesAreWrittenInTheirOrder) {
  PipeEnds pipe = MakePipe();
  LogQueue& queue = MakeQueue(std::move(pipe.writing), 10000);
  std::string expected;
  for (int i = 0; i < 100; ++i) {
    queue.Add(Line(i));
    expected += Line(i);
  }
  queue.Flush(kHang);
  EXPECT_EQ(ReadBytes(pipe.reading.get(), expected.size()), expected);
  EXPECT_EQ(queue.dropped(), 0u);
}

TEST(LogQueueTest, WithoutAReaderNothingWaitsAndWhatIsDroppedIsSaidInItsPlace) {
  PipeEnds pipe = MakeOnePagePipe();
  ASSERT_EQ(fcntl(pipe.writing.get(), F_SETFL, 0), 0) << "writes wait";
  LogQueue& queue = MakeQueue(std::move(pipe.writing), 1000);
  constexpr int kLines = 5000;
  for (int i = 0; i < kLines; ++i) queue.Add(Line(i));
  const uint64_t dropped = queue.dropped();
  EXPECT_GT(dropped, 1000u) << "some 400 fit the pipe, 100 the queue";
  // The reader goes on. Each line is there, or is told of where it is missing,
  // and for that no further line is needed.
  uint64_t next = 0;
  std::string line;
  while (next < kLines) {
    const std::string byte = ReadBytes(pipe.reading.get(), 1);
    ASSERT_FALSE(byte.empty()) << "after " << next;
    line += byte;
    if (byte != "\n") continue;
    if (line.starts_with("dropped ")) {
      next += std::stoul(line.substr(8));
    } else {
      ASSERT_EQ(line, Line(static_cast<int>(next++)));
    }
    line.clear();
  }
  EXPECT_EQ(next, uint64_t{kLines});
  // And then all is as before.
  queue.Add("again\n");
  EXPECT_EQ(ReadBytes(pipe.reading.get(), 6), "again\n");
  EXPECT_EQ(queue.dropped(), dropped);
}

TEST(LogQueueTest, FlushGivesUpOnAReaderThatHasStopped) {
  PipeEnds pipe = MakeOnePagePipe();
  ASSERT_EQ(fcntl(pipe.writing.get(), F_SETFL, 0), 0);
  LogQueue& queue = MakeQueue(std::move(pipe.writing), 10000);
  for (int i = 0; i < 1000; ++i) queue.Add(Line(i));
  const absl::Duration begin = MonotonicNow();
  queue.Flush(absl::Milliseconds(50));
  EXPECT_LT(MonotonicNow() - begin, kHang);
  (void)pipe.reading.Release();  // the thread still waits
}

TEST(LogQueueTest, ANonBlockingPipeIsWaitedForByTheThreadOnly) {
  PipeEnds pipe = MakeOnePagePipe();
  LogQueue& queue = MakeQueue(std::move(pipe.writing), size_t{1} << 20);
  std::string expected;
  for (int i = 0; i < 2000; ++i) {
    queue.Add(Line(i));
    expected += Line(i);
  }
  EXPECT_EQ(ReadBytes(pipe.reading.get(), expected.size()), expected);
}

TEST(LogQueueTest, WhatCannotBeWrittenIsCounted) {
  LogQueue& full = MakeQueue(UniqueFd(open("/dev/full", O_WRONLY)), 10000);
  full.Add("one\n");
  full.Add("two\n");
  EXPECT_TRUE(WaitUntil([&] { return full.dropped() == 2; }));
  PipeEnds pipe = MakePipe();
  pipe.reading.Reset();
  LogQueue& broken = MakeQueue(std::move(pipe.writing), 10000);
  broken.Add("to nobody, and without a signal\n");
  EXPECT_TRUE(WaitUntil([&] { return broken.dropped() == 1; }));
}

}  // namespace
}  // namespace fifobus
