// What this kernel does with a FIFO of which a process beside the broker holds
// an end of the broker's own kind, as far as a keeper relies on it: as
// kernel_test.cc does it for FIFOs. "held" is the keeper's end here. Sources:
// pipe(7), fifo(7), epoll(7), fs/pipe.c.
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <thread>

#include "broker/base/unique_fd.h"
#include "gtest/gtest.h"
#include "tests/support/kernel_fact.h"
#include "tests/support/pipe_support.h"

namespace fifobus {
namespace {

class KernelHeldTest : public testing::Test {
 protected:
  KernelHeldTest() { MakeFifo(fifo_); }

  UniqueFd Open(int access) const {
    return UniqueFd(open(fifo_.c_str(), access | O_NONBLOCK | O_CLOEXEC));
  }
  // A writing end although nobody reads.
  UniqueFd OpenToHold() const {
    const UniqueFd both = Open(O_RDWR);
    return Open(O_WRONLY);
  }

  const TempDir dir_;
  const std::string fifo_ = dir_.path() + "/fifo";
};

ssize_t Write(const UniqueFd& fd, const std::string& bytes) {
  return write(fd.get(), bytes.data(), bytes.size());
}

std::string Read(const UniqueFd& fd) {
  char bytes[100];
  const ssize_t size = read(fd.get(), bytes, sizeof(bytes));
  return size < 0 ? ErrnoName(errno) : std::string(bytes, size);
}

// What a blocking open for `access` says; it would hang if nobody let it in.
bool OpensAtOnce(const std::string& path, int access) {
  return UniqueFd(open(path.c_str(), access | O_CLOEXEC)).valid();
}

class Edges {
 public:
  Edges(const UniqueFd& fd, uint32_t events)
      : epoll_(epoll_create1(EPOLL_CLOEXEC)) {
    epoll_event event = {};
    event.events = events | EPOLLET;
    EXPECT_EQ(epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd.get(), &event), 0);
  }
  uint32_t Next() const {
    epoll_event event = {};
    return epoll_wait(epoll_.get(), &event, 1, 0) == 1 ? event.events : 0;
  }

 private:
  const UniqueFd epoll_;
};

TEST_F(KernelHeldTest, AWriterIsNeitherHeldUpNorBrokenByTheBrokersDeath) {
  UniqueFd broker = Open(O_RDONLY);
  const UniqueFd held = Open(O_RDONLY);
  const UniqueFd writer = Open(O_WRONLY);
  broker.Reset();
  EXPECT_EQ(Kernel("write to a held .in", Write(writer, "dead\n")), 5);
  EXPECT_TRUE(Kernel("open of a held .in for writing, which may block",
                     OpensAtOnce(fifo_, O_WRONLY)));
}

TEST_F(KernelHeldTest, WhatIsUnreadIsThereForTheNextBroker) {
  UniqueFd broker = Open(O_RDONLY);
  const UniqueFd held = Open(O_RDONLY);
  UniqueFd writer = Open(O_WRONLY);
  ASSERT_EQ(Write(writer, "one\n"), 4);
  broker.Reset();
  ASSERT_EQ(Write(writer, "two\n"), 4);
  writer.Reset();
  broker = Open(O_RDONLY);
  EXPECT_EQ(Kernel("read by the next broker", Read(broker)), "one\ntwo\n");
}

// The next broker opens a writing end for a moment, so that the last line of
// such a writer ends although it has no newline.
TEST_F(KernelHeldTest, AWriterThatLeftBeforeIsNoHangUpUntilAnotherLeaves) {
  const UniqueFd held = Open(O_RDONLY);
  ASSERT_EQ(Write(Open(O_WRONLY), "no newline"), 10);
  const UniqueFd broker = Open(O_RDONLY);
  const Edges edges(broker, EPOLLIN);
  EXPECT_EQ(Kernel("first edge of the next broker", edges.Next()),
            static_cast<uint32_t>(EPOLLIN));
  Open(O_WRONLY).Reset();
  EXPECT_EQ(Kernel("edge after a writing end of its own", edges.Next()),
            static_cast<uint32_t>(EPOLLIN | EPOLLHUP));
}

TEST_F(KernelHeldTest, TheBrokerStillSeesTheLastWriterLeave) {
  const UniqueFd held = Open(O_RDONLY);
  const UniqueFd broker = Open(O_RDONLY);
  UniqueFd writer = Open(O_WRONLY);
  const Edges edges(broker, EPOLLIN);
  EXPECT_EQ(edges.Next(), 0u);
  writer.Reset();
  EXPECT_EQ(Kernel("edge beside a held reading end", edges.Next() & EPOLLHUP),
            static_cast<uint32_t>(EPOLLHUP));
}

TEST_F(KernelHeldTest, TheBrokerStillSeesTheLastReaderLeave) {
  UniqueFd reader = Open(O_RDONLY);
  const UniqueFd broker = OpenToHold();
  const Edges edges(broker, EPOLLOUT);
  EXPECT_EQ(edges.Next(), static_cast<uint32_t>(EPOLLOUT));
  const UniqueFd held = OpenToHold();
  // The end for both that was open for a moment is no reader that has left.
  EXPECT_EQ(Kernel("edge when a writing end is held",
                   edges.Next() & static_cast<uint32_t>(EPOLLERR)),
            0u);
  reader.Reset();
  EXPECT_EQ(Kernel("edge beside a held writing end", edges.Next() & EPOLLERR),
            static_cast<uint32_t>(EPOLLERR));
}

TEST_F(KernelHeldTest, AReaderGoesOnWithTheNextBroker) {
  const UniqueFd reader = Open(O_RDONLY);
  UniqueFd broker = OpenToHold();
  const UniqueFd held = OpenToHold();
  ASSERT_EQ(Write(broker, "one\n"), 4);
  broker.Reset();
  EXPECT_EQ(Read(reader), "one\n");
  EXPECT_EQ(Kernel("read of a held .out without a broker", Read(reader)),
            "EAGAIN");
  EXPECT_EQ(poll(nullptr, 0, 0), 0);
  broker = OpenToHold();
  ASSERT_EQ(Write(broker, "two\n"), 4);
  EXPECT_EQ(Read(reader), "two\n");
}

TEST_F(KernelHeldTest, AReaderThatComesMeanwhileIsLetIn) {
  const UniqueFd held = OpenToHold();
  EXPECT_TRUE(Kernel("open of a held .out for reading, which may block",
                     OpensAtOnce(fifo_, O_RDONLY)));
}

TEST_F(KernelHeldTest, AHeldReadingEndTakesNoWakeUpFromTheBroker) {
  const UniqueFd broker = Open(O_RDONLY);
  const UniqueFd writer = Open(O_WRONLY);
  const UniqueFd held = Open(O_RDONLY);
  const Edges edges(broker, EPOLLIN);
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(Write(writer, "x"), 1);
    EXPECT_EQ(edges.Next(), static_cast<uint32_t>(EPOLLIN));
    EXPECT_EQ(Read(broker), "x");
  }
}

// So no part of a line stays in the pipe if the broker is killed between two
// writes of at most PIPE_BUF bytes, or into a pipe that was empty.
TEST_F(KernelHeldTest, AWriteOfThePipesSizeIntoAnEmptyPipeIsWhole) {
  const UniqueFd reader = Open(O_RDONLY);
  const UniqueFd broker = Open(O_WRONLY);
  const int size = fcntl(broker.get(), F_GETPIPE_SZ);
  ASSERT_EQ(Write(broker, "x"), 1);
  EXPECT_EQ(Read(reader), "x");
  EXPECT_EQ(Kernel("write of the pipe's size into an empty pipe",
                   Write(broker, std::string(size, 'x'))),
            size);
}

TEST_F(KernelHeldTest, TeeShowsWhatIsUnreadAndLeavesIt) {
  const UniqueFd reader = Open(O_RDONLY);
  const UniqueFd broker = Open(O_WRONLY);
  ASSERT_EQ(Write(broker, "half a li"), 9);
  const PipeEnds copy = MakePipe();
  EXPECT_EQ(Kernel("bytes that tee shows",
                   tee(reader.get(), copy.writing.get(), 100, 0)),
            9);
  EXPECT_EQ(Read(copy.reading), "half a li");
  EXPECT_EQ(Read(reader), "half a li");
}

}  // namespace
}  // namespace fifobus
