// What this kernel does with FIFOs, as far as fifobus relies on it. Each test
// pins one fact and prints what the kernel answered, so that a kernel that
// differs shows itself here and not as a hang. Sources: pipe(7), fifo(7),
// epoll(7). kernel_names_test.cc is about names and directories.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>

#include "broker/base/unique_fd.h"
#include "gtest/gtest.h"
#include "tests/support/kernel_fact.h"

namespace fifobus {
namespace {

constexpr size_t kPage = 4096;

class KernelTest : public testing::Test {
 protected:
  void SetUp() override {
    char path[] = "/dev/shm/fifobus-kernel-XXXXXX";
    ASSERT_NE(mkdtemp(path), nullptr);
    dir_ = path;
    fifo_ = dir_ + "/fifo";
    ASSERT_EQ(mkfifo(fifo_.c_str(), 0600), 0);
  }
  void TearDown() override { ASSERT_EQ(system(("rm -rf " + dir_).c_str()), 0); }

  UniqueFd Open(int access) const {
    return UniqueFd(open(fifo_.c_str(), access | O_NONBLOCK | O_CLOEXEC));
  }

  void OpenBoth(size_t pipe_bytes = 0) {
    reader_ = Open(O_RDONLY);
    writer_ = Open(O_WRONLY);
    ASSERT_TRUE(reader_.valid() && writer_.valid());
    if (pipe_bytes > 0) {
      ASSERT_EQ(fcntl(writer_.get(), F_SETPIPE_SZ, pipe_bytes),
                static_cast<int>(pipe_bytes));
    }
  }

  // A new pipe has 16 pages, or 2 if all pipes of this user together have
  // reached pipe-user-pages-soft.
  int Pages() const {
    return Kernel("pages of a new pipe",
                  fcntl(writer_.get(), F_GETPIPE_SZ) / int{kPage});
  }

  ssize_t Write(size_t bytes) const {
    const std::string zeros(bytes, 'x');
    return write(writer_.get(), zeros.data(), bytes);
  }
  int WriteErrno(size_t bytes) const { return Write(bytes) < 0 ? errno : 0; }
  ssize_t Read(size_t bytes) const {
    std::string buffer(bytes, '\0');
    return read(reader_.get(), buffer.data(), bytes);
  }
  int ReadErrno() const {
    char byte;
    return read(reader_.get(), &byte, 1) < 0 ? errno : 0;
  }
  int CountWrites(size_t bytes) const {
    int count = 0;
    while (Write(bytes) == static_cast<ssize_t>(bytes)) ++count;
    return count;
  }

  std::string dir_;
  std::string fifo_;
  UniqueFd reader_;
  UniqueFd writer_;
};

short PollEvents(int fd, short events) {
  pollfd polled = {fd, events, 0};
  return poll(&polled, 1, 0) == 1 ? polled.revents : 0;
}

// One epoll with one edge-triggered registration.
class Epoll {
 public:
  Epoll(int fd, uint32_t events) : fd_(epoll_create1(EPOLL_CLOEXEC)) {
    epoll_event event = {};
    event.events = events | EPOLLET;
    EXPECT_EQ(epoll_ctl(fd_.get(), EPOLL_CTL_ADD, fd, &event), 0);
  }
  // The events that are reported now; 0: none.
  uint32_t Next() const {
    epoll_event event = {};
    return epoll_wait(fd_.get(), &event, 1, 0) == 1 ? event.events : 0;
  }

 private:
  UniqueFd fd_;
};

TEST_F(KernelTest, OpeningForWritingWithoutAReaderFails) {
  const UniqueFd fd = Open(O_WRONLY);
  EXPECT_EQ(
      Kernel("O_WRONLY without a reader", ErrnoName(fd.valid() ? 0 : errno)),
      "ENXIO");
}

TEST_F(KernelTest, OpeningForReadingSucceedsAndReadsTheEndBeforeAWriterCame) {
  reader_ = Open(O_RDONLY);
  EXPECT_EQ(Kernel("read before any writer", Read(1)), 0);
  EXPECT_EQ(Kernel("poll before any writer", PollEvents(reader_.get(), POLLIN)),
            0);
}

TEST_F(KernelTest, BothEndsInOneDescriptorNeverHangUp) {
  reader_ = Open(O_RDWR);
  EXPECT_EQ(Kernel("empty read of O_RDWR", ErrnoName(ReadErrno())), "EAGAIN");
}

TEST_F(KernelTest, SmallWritesAreTakenWholeOrNotAtAll) {
  OpenBoth(kPage);
  ASSERT_EQ(Write(1000), 1000);
  EXPECT_EQ(Kernel("4096 bytes into a page with 3096 free",
                   ErrnoName(WriteErrno(kPage))),
            "EAGAIN");
  EXPECT_EQ(Kernel("smaller write after that EAGAIN", Write(3000)), 3000);
}

TEST_F(KernelTest, LargeWritesMayBeCutShort) {
  OpenBoth(kPage);
  EXPECT_EQ(Kernel("10000 bytes into one page", Write(10000)), 4096);
}

TEST_F(KernelTest, APageHoldsOnlyWritesThatFitItsRest) {
  OpenBoth();
  const int pages = Pages();
  EXPECT_EQ(Kernel("writes of 100", CountWrites(100)), pages * 40);
  while (Read(65536) > 0) {
  }
  EXPECT_EQ(Kernel("writes of 2048", CountWrites(2048)), pages * 2);
  while (Read(65536) > 0) {
  }
  EXPECT_EQ(Kernel("writes of 2049", CountWrites(2049)), pages);
}

TEST_F(KernelTest, AGatheredWriteFillsPagesAcrossItsParts) {
  OpenBoth();
  const std::string part(100, 'x');
  std::array<iovec, 1000> parts;
  parts.fill({const_cast<char*>(part.data()), part.size()});
  EXPECT_EQ(Kernel("writev of 1000 parts of 100",
                   writev(writer_.get(), parts.data(), 1000)),
            std::min<ssize_t>(100000, Pages() * ssize_t{kPage}));
}

TEST_F(KernelTest, WritingWithoutAReaderBreaks) {
  OpenBoth();
  reader_.Reset();
  signal(SIGPIPE, SIG_IGN);
  EXPECT_EQ(Kernel("write without a reader", ErrnoName(WriteErrno(1))),
            "EPIPE");
  signal(SIGPIPE, SIG_DFL);
}

TEST_F(KernelTest, ABlockedSigpipeStaysPendingInTheThread) {
  OpenBoth();
  reader_.Reset();
  sigset_t pipe_signal;
  sigset_t pending;
  sigemptyset(&pipe_signal);
  sigaddset(&pipe_signal, SIGPIPE);
  ASSERT_EQ(pthread_sigmask(SIG_BLOCK, &pipe_signal, nullptr), 0);
  EXPECT_EQ(WriteErrno(1), EPIPE);
  ASSERT_EQ(sigpending(&pending), 0);
  EXPECT_EQ(
      Kernel("SIGPIPE pending after EPIPE", sigismember(&pending, SIGPIPE)), 1);
  const timespec now = {};
  EXPECT_EQ(Kernel("sigtimedwait takes it back",
                   sigtimedwait(&pipe_signal, nullptr, &now)),
            SIGPIPE);
  ASSERT_EQ(pthread_sigmask(SIG_UNBLOCK, &pipe_signal, nullptr), 0);
}

TEST_F(KernelTest, WritesWithoutASignalWhereItCan) {
  OpenBoth();
  const iovec part = {const_cast<char*>("x"), 1};
  const ssize_t written = pwritev2(writer_.get(), &part, 1, -1, 0x100);
  const std::string answer = ErrnoName(written == 1 ? 0 : errno);
  // Either is good; clients ask once.
  EXPECT_TRUE(Kernel("pwritev2 with RWF_NOSIGNAL", answer) == "ok" ||
              answer == "EOPNOTSUPP" || answer == "EINVAL");
}

TEST_F(KernelTest, AHangUpIsLevelStateAndOneEdge) {
  OpenBoth();
  const Epoll epoll(reader_.get(), EPOLLIN);
  EXPECT_EQ(epoll.Next(), 0u);
  writer_.Reset();
  EXPECT_EQ(Kernel("edge at the last close", epoll.Next() & EPOLLHUP),
            static_cast<uint32_t>(EPOLLHUP));
  EXPECT_EQ(Kernel("second look, edge-triggered", epoll.Next()), 0u);
  EXPECT_EQ(Kernel("poll, again and again",
                   PollEvents(reader_.get(), POLLIN) & POLLHUP),
            POLLHUP);
  writer_ = Open(O_WRONLY);
  EXPECT_EQ(
      Kernel("poll with another writer", PollEvents(reader_.get(), POLLIN)), 0);
}

TEST_F(KernelTest, AHangUpIsReportedBesideUnreadBytes) {
  reader_ = Open(O_RDONLY);
  const auto polled = [&] { return PollEvents(reader_.get(), POLLIN); };
  EXPECT_EQ(Kernel("poll before a writer has come", polled()), 0);
  writer_ = Open(O_WRONLY);
  ASSERT_EQ(Write(5), 5);
  EXPECT_EQ(Kernel("poll of unread bytes", polled()), POLLIN);
  writer_.Reset();
  EXPECT_EQ(Kernel("poll of them when their writer has left", polled()),
            POLLIN | POLLHUP);
  // A reading end that had no writer itself reports no hang-up.
  const UniqueFd late = Open(O_RDONLY);
  EXPECT_EQ(Kernel("poll of them by a reader that came later",
                   PollEvents(late.get(), POLLIN)),
            POLLIN);
  Open(O_WRONLY).Reset();
  EXPECT_EQ(
      Kernel("the same after one more writer", PollEvents(late.get(), POLLIN)),
      POLLIN | POLLHUP);
}

TEST_F(KernelTest, AWritingEndWithoutAReaderShowsAnError) {
  OpenBoth();
  const Epoll epoll(writer_.get(), EPOLLOUT);
  EXPECT_EQ(epoll.Next(), static_cast<uint32_t>(EPOLLOUT));
  reader_.Reset();
  EXPECT_EQ(Kernel("edge when the reader leaves", epoll.Next() & EPOLLERR),
            static_cast<uint32_t>(EPOLLERR));
  EXPECT_EQ(PollEvents(writer_.get(), 0), POLLERR);
}

TEST_F(KernelTest, AnEdgeComesWhenAFullPipeGetsRoom) {
  for (const size_t pipe_bytes : {kPage, size_t{0}}) {
    OpenBoth(pipe_bytes);
    const Epoll epoll(writer_.get(), EPOLLOUT);
    EXPECT_EQ(epoll.Next(), static_cast<uint32_t>(EPOLLOUT));
    while (Write(kPage) > 0) {
    }
    EXPECT_EQ(epoll.Next(), 0u);
    EXPECT_EQ(Read(kPage), static_cast<ssize_t>(kPage));
    EXPECT_EQ(
        Kernel("edge after a page was read from a full pipe", epoll.Next()),
        static_cast<uint32_t>(EPOLLOUT));
    reader_.Reset();
    writer_.Reset();
  }
}

// A small rest in a slot does not make it writable: the edge comes when the
// slot is empty, so a writer that waits for it never waits for ever.
TEST_F(KernelTest, AnEdgeComesWhenASlotIsFreeAndNotBefore) {
  OpenBoth(kPage);
  const Epoll epoll(writer_.get(), EPOLLOUT);
  EXPECT_EQ(epoll.Next(), static_cast<uint32_t>(EPOLLOUT));
  ASSERT_EQ(Write(100), 100);
  ASSERT_EQ(WriteErrno(kPage), EAGAIN);
  ASSERT_EQ(Read(50), 50);
  EXPECT_EQ(Kernel("edge after half of a slot was read", epoll.Next()), 0u);
  ASSERT_EQ(Read(50), 50);
  EXPECT_EQ(Kernel("edge after the slot was read", epoll.Next()),
            static_cast<uint32_t>(EPOLLOUT));
}

TEST_F(KernelTest, GrowingAFullPipeIsAnEdgeForItsWriter) {
  OpenBoth(kPage);
  const Epoll epoll(writer_.get(), EPOLLOUT);
  EXPECT_EQ(epoll.Next(), static_cast<uint32_t>(EPOLLOUT));
  ASSERT_EQ(Write(2 * kPage), static_cast<ssize_t>(kPage));
  EXPECT_EQ(epoll.Next(), 0u);
  if (fcntl(writer_.get(), F_SETPIPE_SZ, 2 * kPage) != 2 * kPage) {
    GTEST_SKIP() << "this user's pipes are at pipe-user-pages-soft";
  }
  EXPECT_EQ(Kernel("edge after a full pipe has grown", epoll.Next()),
            static_cast<uint32_t>(EPOLLOUT));
}

TEST_F(KernelTest, TeeCopiesWhatFitsAndAnEdgeFollowsWhenThereIsRoom) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
  const UniqueFd staged(ends[0]);
  const UniqueFd staging(ends[1]);
  ASSERT_EQ(write(staging.get(), std::string(2 * kPage, 's').data(), 2 * kPage),
            static_cast<ssize_t>(2 * kPage));
  OpenBoth(kPage);
  const Epoll epoll(writer_.get(), EPOLLOUT);
  EXPECT_EQ(epoll.Next(), static_cast<uint32_t>(EPOLLOUT));
  const auto tee_both = [&] {
    return tee(staged.get(), writer_.get(), 2 * kPage, SPLICE_F_NONBLOCK);
  };
  EXPECT_EQ(Kernel("tee of two pages into one", tee_both()),
            static_cast<ssize_t>(kPage));
  EXPECT_EQ(
      Kernel("tee into a full pipe", ErrnoName(tee_both() < 0 ? errno : 0)),
      "EAGAIN");
  EXPECT_EQ(epoll.Next(), 0u);
  EXPECT_EQ(Read(kPage), static_cast<ssize_t>(kPage));
  EXPECT_EQ(Kernel("edge after the page was read", epoll.Next()),
            static_cast<uint32_t>(EPOLLOUT));
  int unread = 0;
  ASSERT_EQ(ioctl(staged.get(), FIONREAD, &unread), 0);
  EXPECT_EQ(Kernel("bytes still in the pipe that was copied from", unread),
            static_cast<int>(2 * kPage));
}

TEST_F(KernelTest, EachWriteIsAnEdgeForAReaderThatLeavesBytes) {
  OpenBoth();
  const Epoll epoll(reader_.get(), EPOLLIN);
  ASSERT_EQ(Write(10), 10);
  EXPECT_EQ(epoll.Next(), static_cast<uint32_t>(EPOLLIN));
  ASSERT_EQ(Write(10), 10);
  // Not so in Linux 5.5 to 5.13, where lines would wait in a tap that nobody
  // has subscribed to until it is full.
  EXPECT_EQ(
      Kernel("edge for a write to a pipe that is not empty", epoll.Next()),
      static_cast<uint32_t>(EPOLLIN));
}

TEST_F(KernelTest, FionreadAndThePipesSizeAreExact) {
  OpenBoth(8192);
  ASSERT_EQ(Write(5000), 5000);
  int unread = 0;
  ASSERT_EQ(ioctl(reader_.get(), FIONREAD, &unread), 0);
  EXPECT_EQ(Kernel("FIONREAD after 5000 bytes", unread), 5000);
  ASSERT_EQ(ioctl(writer_.get(), FIONREAD, &unread), 0);
  EXPECT_EQ(Kernel("FIONREAD of the writing end", unread), 5000);
  EXPECT_EQ(Kernel("F_GETPIPE_SZ", fcntl(reader_.get(), F_GETPIPE_SZ)), 8192);
}

TEST_F(KernelTest, InPacketModeAShortReadLosesTheRest) {
  OpenBoth();
  ASSERT_EQ(fcntl(writer_.get(), F_SETFL, O_DIRECT | O_NONBLOCK), 0);
  ASSERT_EQ(Write(100), 100);
  ASSERT_EQ(Write(100), 100);
  EXPECT_EQ(Kernel("read of 65536 in packet mode", Read(65536)), 100);
  EXPECT_EQ(Kernel("read of 10 in packet mode", Read(10)), 10);
  EXPECT_EQ(Kernel("then", ErrnoName(ReadErrno())), "EAGAIN");
}

TEST_F(KernelTest, AHeldWritingEndKeepsWhatAReaderLeft) {
  UniqueFd both = Open(O_RDWR);
  writer_ = Open(O_WRONLY);
  both.Reset();
  reader_ = Open(O_RDONLY);
  ASSERT_EQ(Write(5), 5);
  reader_.Reset();
  EXPECT_EQ(PollEvents(writer_.get(), 0), POLLERR);
  reader_ = Open(O_RDONLY);
  EXPECT_EQ(Kernel("unread bytes after the reader left", Read(100)), 5);
  EXPECT_EQ(Kernel("then, the writer being there", ErrnoName(ReadErrno())),
            "EAGAIN");
}

TEST_F(KernelTest, UnreadBytesSurviveAKilledWriterButNotTheLastClose) {
  reader_ = Open(O_RDONLY);
  const pid_t child = fork();
  if (child == 0) {
    const int fd = open(fifo_.c_str(), O_WRONLY);
    (void)!write(fd, "hello", 5);
    raise(SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(Kernel("bytes after the writer's SIGKILL", Read(100)), 5);
  writer_ = Open(O_WRONLY);
  ASSERT_EQ(Write(5), 5);
  writer_.Reset();
  reader_.Reset();
  reader_ = Open(O_RDONLY);
  EXPECT_EQ(Kernel("bytes after the last close", Read(100)), 0);
}

TEST_F(KernelTest, ARenamedAndRemovedFifoStaysConnected) {
  OpenBoth();
  ASSERT_EQ(rename(fifo_.c_str(), (dir_ + "/other").c_str()), 0);
  ASSERT_EQ(unlink((dir_ + "/other").c_str()), 0);
  ASSERT_EQ(Write(5), 5);
  EXPECT_EQ(Kernel("bytes through a FIFO without a name", Read(100)), 5);
}

TEST_F(KernelTest, ARegistrationBelongsToTheOpenFile) {
  OpenBoth();
  UniqueFd first(dup(reader_.get()));
  const Epoll epoll(first.get(), EPOLLIN);
  first.Reset();
  ASSERT_EQ(Write(1), 1);
  // So descriptors are taken out of epoll before they are closed.
  EXPECT_EQ(
      Kernel("event of a descriptor closed while a copy lives", epoll.Next()),
      static_cast<uint32_t>(EPOLLIN));
}

}  // namespace
}  // namespace fifobus
