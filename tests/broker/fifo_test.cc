#include "broker/io/fifo.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/support/pipe_support.h"

namespace fifobus {
namespace {

class FifoTest : public testing::Test {
 protected:
  FifoTest()
      : dir_fd_(open(dir_.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
    MakeFifo(Path("pipe"));
  }

  std::string Path(const std::string& name) const {
    return dir_.path() + "/" + name;
  }
  FifoOpening Reading(const std::string& name) const {
    return OpenFifoForReading(dir_fd_.get(), name, trust_);
  }
  FifoOpening Writing(const std::string& name) const {
    return OpenFifoForWriting(dir_fd_.get(), name, trust_);
  }

  const TempDir dir_;
  const UniqueFd dir_fd_;
  FifoTrust trust_{geteuid()};
};

TEST_F(FifoTest, OpensBothEndsWithoutBlocking) {
  const FifoOpening reading = Reading("pipe");
  ASSERT_EQ(reading.outcome, FifoOpenOutcome::kOpened) << reading.refusal;
  const FifoOpening writing = Writing("pipe");
  ASSERT_EQ(writing.outcome, FifoOpenOutcome::kOpened) << writing.refusal;
  for (const int fd : {reading.fd.get(), writing.fd.get()}) {
    EXPECT_NE(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    EXPECT_NE(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
  }
  EXPECT_EQ(FifoOwner(reading.fd.get()), geteuid());
}

TEST_F(FifoTest, WritingWithoutAReaderIsAnOutcomeAndNotAWait) {
  EXPECT_EQ(Writing("pipe").outcome, FifoOpenOutcome::kNoReader);
}

TEST_F(FifoTest, ANameThatIsGoneIsAnOutcome) {
  EXPECT_EQ(Reading("missing").outcome, FifoOpenOutcome::kGone);
}

TEST_F(FifoTest, WhatIsNoFifoIsRefused) {
  std::ofstream(Path("file")) << "text";
  std::filesystem::create_directory(Path("folder"));
  for (const char* name : {"file", "folder"}) {
    const FifoOpening opening = Reading(name);
    EXPECT_EQ(opening.outcome, FifoOpenOutcome::kRefused) << name;
    EXPECT_EQ(opening.refusal, "it is not a FIFO") << name;
    EXPECT_FALSE(opening.fd.valid());
  }
}

TEST_F(FifoTest, SymbolicLinksAreRefusedOnTheWayToo) {
  std::filesystem::create_symlink("pipe", Path("link"));
  EXPECT_EQ(Reading("link").refusal, "it is a symbolic link");
  std::filesystem::create_directory(Path("real"));
  MakeFifo(Path("real/pipe"));
  std::filesystem::create_directory_symlink("real", Path("alias"));
  EXPECT_EQ(Reading("real/pipe").outcome, FifoOpenOutcome::kOpened);
  EXPECT_EQ(Reading("alias/pipe").outcome, FifoOpenOutcome::kRefused);
}

TEST_F(FifoTest, NothingOutsideOfTheDirectoryIsOpened) {
  const TempDir other;
  MakeFifo(other.path() + "/pipe");
  const std::string folder =
      std::filesystem::path(other.path()).filename().string();
  EXPECT_EQ(Reading("../" + folder + "/pipe").outcome,
            FifoOpenOutcome::kRefused);
  EXPECT_EQ(Reading(other.path() + "/pipe").outcome, FifoOpenOutcome::kRefused);
}

TEST_F(FifoTest, ASecondNameIsRefused) {
  std::filesystem::create_hard_link(Path("pipe"), Path("other"));
  EXPECT_EQ(Reading("pipe").refusal, "it has several names");
  std::filesystem::remove(Path("other"));
  EXPECT_EQ(Reading("pipe").outcome, FifoOpenOutcome::kOpened);
}

TEST_F(FifoTest, AnotherUsersFifoIsRefused) {
  if (geteuid() == 0) {  // root's own FIFOs are trusted by everybody
    ASSERT_EQ(chown(Path("pipe").c_str(), 12345, 12345), 0);
  } else {
    trust_.owner = geteuid() + 1;
  }
  const FifoOpening opening = Reading("pipe");
  EXPECT_EQ(opening.outcome, FifoOpenOutcome::kRefused);
  EXPECT_NE(opening.refusal.find("it belongs to user"), std::string::npos);
}

TEST_F(FifoTest, AHeldFifoNeedsNoReaderAndKeepsWhatIsUnread) {
  const FifoOpening held = OpenFifoToHold(dir_fd_.get(), "pipe", trust_);
  ASSERT_EQ(held.outcome, FifoOpenOutcome::kOpened) << held.refusal;
  EXPECT_TRUE(LacksReader(held.fd.get())) << "the other end was closed";
  {
    const FifoOpening reader = Reading("pipe");
    EXPECT_FALSE(LacksReader(held.fd.get()));
    const Slice slice = {"hello", 5};
    EXPECT_EQ(WriteFifo(held.fd.get(), {&slice, 1}).outcome, SinkOutcome::kAll);
  }
  EXPECT_TRUE(LacksReader(held.fd.get()));
  EXPECT_EQ(UnreadBytes(held.fd.get()), 5u);
  EXPECT_EQ(ReadBytes(Reading("pipe").fd.get(), 5), "hello");
}

TEST_F(FifoTest, RunningOutOfDescriptorsIsAnOutcome) {
  // Also has a sanitizer check types while it can: it needs descriptors for
  // that.
  ASSERT_EQ(Reading("pipe").outcome, FifoOpenOutcome::kOpened);
  std::vector<UniqueFd> all;
  while (true) {
    UniqueFd fd(open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (!fd.valid()) break;
    all.push_back(std::move(fd));
  }
  EXPECT_EQ(Reading("pipe").outcome, FifoOpenOutcome::kNoDescriptors);
  all.pop_back();
  EXPECT_EQ(Reading("pipe").outcome, FifoOpenOutcome::kOpened);
}

TEST_F(FifoTest, AReadTellsBytesEmptinessAndTheEndApart) {
  PipeEnds pipe = MakePipe();
  char buffer[16];
  EXPECT_EQ(ReadFifo(pipe.reading.get(), buffer, sizeof(buffer)).outcome,
            ReadOutcome::kEmpty);
  ASSERT_EQ(write(pipe.writing.get(), "abc", 3), 3);
  pipe.writing.Reset();
  const ReadResult read = ReadFifo(pipe.reading.get(), buffer, sizeof(buffer));
  EXPECT_EQ(read.outcome, ReadOutcome::kBytes);
  EXPECT_EQ(read.bytes, 3u);
  EXPECT_EQ(ReadFifo(pipe.reading.get(), buffer, sizeof(buffer)).outcome,
            ReadOutcome::kNoWriter);
}

TEST_F(FifoTest, APipesSizeIsAskedForAndARefusalChangesNothing) {
  const PipeEnds pipe = MakePipe();
  TrySetPipeBytes(pipe.writing.get(), 8192);
  EXPECT_EQ(PipeBytes(pipe.writing.get()), 8192u);
  const std::string full(8192, 'x');
  ASSERT_EQ(write(pipe.writing.get(), full.data(), full.size()), 8192);
  TrySetPipeBytes(pipe.writing.get(), 4096);  // what is in it needs more
  EXPECT_EQ(PipeBytes(pipe.writing.get()), 8192u);
}

}  // namespace
}  // namespace fifobus
