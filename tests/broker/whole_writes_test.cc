#include "broker/io/whole_writes.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/support/pipe_support.h"

namespace fifobus {
namespace {

class WholeWritesTest : public testing::Test {
 protected:
  WholeWritesTest() { signal(SIGPIPE, SIG_IGN); }

  SinkResult Write(const PipeEnds& ends,
                   const std::vector<std::string>& lines) {
    std::vector<Slice> slices;
    for (const std::string& line : lines) {
      slices.push_back({line.data(), line.size()});
    }
    return WriteWholeSlices(ends.writing.get(), slices);
  }
  std::string Read(const PipeEnds& ends, size_t most) {
    std::string bytes(most, '\0');
    const ssize_t size = read(ends.reading.get(), bytes.data(), most);
    return bytes.substr(0, size < 0 ? 0 : static_cast<size_t>(size));
  }
};

TEST_F(WholeWritesTest, AFullPipeEndsWithAWholeLine) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  const PipeEnds ends = MakePipe();
  std::string written;
  std::string read;
  for (int round = 0; round < 300; ++round) {
    std::vector<std::string> lines;
    std::vector<size_t> ends_of_lines = {0};
    for (size_t i = random() % 600; i > 0; --i) {
      lines.push_back(std::string(random() % 4096, 'a' + random() % 26) + "\n");
      ends_of_lines.push_back(ends_of_lines.back() + lines.back().size());
    }
    const SinkResult result = Write(ends, lines);
    EXPECT_EQ(result.outcome == SinkOutcome::kAll,
              result.bytes_taken == ends_of_lines.back());
    EXPECT_TRUE(std::binary_search(ends_of_lines.begin(), ends_of_lines.end(),
                                   result.bytes_taken))
        << result.bytes_taken;
    std::string all;
    for (const std::string& line : lines) all += line;
    written += all.substr(0, result.bytes_taken);
    read += Read(ends, random() % 100000);
  }
  read += Read(ends, 1 << 20);
  EXPECT_TRUE(read == written);
}

TEST_F(WholeWritesTest, AnEmptyPipeIsFilledByOneWrite) {
  const PipeEnds ends = MakePipe();
  const size_t size = fcntl(ends.writing.get(), F_GETPIPE_SZ);
  const std::vector<std::string> lines(200, std::string(size / 200, 'x'));
  const SinkResult result = Write(ends, lines);
  EXPECT_EQ(result.outcome, SinkOutcome::kAll);
  EXPECT_EQ(result.bytes_taken, size / 200 * 200);
}

TEST_F(WholeWritesTest, ALongLineIsCutWhereThePipeIsFull) {
  const PipeEnds ends = MakeOnePagePipe();
  const SinkResult result = Write(ends, {std::string(10000, 'x'), "\n"});
  EXPECT_EQ(result.outcome, SinkOutcome::kWouldBlock);
  EXPECT_EQ(result.bytes_taken, 4096u);
}

TEST_F(WholeWritesTest, AShortLineBehindLongOnesIsWhole) {
  const std::string text(5000, 'x');
  for (int already = 0; already < 5000; already += 100) {
    const PipeEnds ends = MakePipe();
    (void)Write(ends, {std::string(already + 1, 'y')});
    const std::vector<std::string> lines = {text, text, "short"};
    SinkResult result = Write(ends, lines);
    while (result.outcome == SinkOutcome::kAll) result = Write(ends, lines);
    const size_t taken = result.bytes_taken;
    EXPECT_TRUE(taken <= 2 * text.size() || taken == 2 * text.size() + 5)
        << taken;
  }
}

TEST_F(WholeWritesTest, AMissingReaderIsSaid) {
  PipeEnds ends = MakePipe();
  ends.reading.Reset();
  EXPECT_EQ(Write(ends, {"line\n"}).outcome, SinkOutcome::kNoReader);
}

TEST_F(WholeWritesTest, TheNewestUnreadByteIsShownAndStays) {
  const PipeEnds ends = MakePipe();
  const int fd = ends.writing.get();
  EXPECT_EQ(NewestUnreadByte(fd), std::nullopt);
  (void)Write(ends, {"line\n", "half"});
  EXPECT_EQ(NewestUnreadByte(fd), 'f');
  EXPECT_EQ(NewestUnreadByte(fd), 'f');
  EXPECT_EQ(Read(ends, 100), "line\nhalf");
  EXPECT_EQ(NewestUnreadByte(fd), std::nullopt);
  // A full pipe, whose pages are partly filled.
  while (Write(ends, {std::string(3000, 'x')}).outcome == SinkOutcome::kAll) {
  }
  EXPECT_EQ(NewestUnreadByte(fd), 'x');
}

}  // namespace
}  // namespace fifobus
