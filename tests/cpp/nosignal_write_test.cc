#include "clients/cpp/internal/nosignal_write.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "gtest/gtest.h"
#include "tests/support/pipe_support.h"

namespace fifobus {
namespace {

bool IsPending() {
  sigset_t pending;
  sigpending(&pending);
  return sigismember(&pending, SIGPIPE) == 1;
}

bool IsBlocked() {
  sigset_t blocked;
  pthread_sigmask(SIG_BLOCK, nullptr, &blocked);
  return sigismember(&blocked, SIGPIPE) == 1;
}

void Block(bool block) {
  sigset_t pipe_signal;
  sigemptyset(&pipe_signal);
  sigaddset(&pipe_signal, SIGPIPE);
  pthread_sigmask(block ? SIG_BLOCK : SIG_UNBLOCK, &pipe_signal, nullptr);
}

using Write = ssize_t (*)(int, const iovec*, int);

// Both ways of writing, whichever this kernel takes.
class NoSignalWriteTest : public testing::TestWithParam<Write> {
 protected:
  ssize_t WriteText(const std::string& text) {
    const iovec part = {const_cast<char*>(text.data()), text.size()};
    return GetParam()(pipe_.writing.get(), &part, 1);
  }
  PipeEnds pipe_ = MakePipe();
};

INSTANTIATE_TEST_SUITE_P(Ways, NoSignalWriteTest,
                         testing::Values(&WriteWithoutSignal,
                                         &internal::WriteWithSignalBlocked));

TEST_P(NoSignalWriteTest, WritesAllParts) {
  std::string a = "Hello ";
  std::string b = "World";
  const iovec parts[] = {{a.data(), a.size()}, {b.data(), b.size()}};
  EXPECT_EQ(GetParam()(pipe_.writing.get(), parts, 2), 11);
  EXPECT_EQ(ReadBytes(pipe_.reading.get(), 11), "Hello World");
}

TEST_P(NoSignalWriteTest, AFullPipeIsAnOutcome) {
  ASSERT_GT(WriteText(std::string(1 << 20, 'x')), 0);
  EXPECT_EQ(WriteText("x"), -1);
  EXPECT_EQ(errno, EAGAIN);
}

TEST_P(NoSignalWriteTest, APipeWithoutAReaderGivesAnErrorAndNoSignal) {
  pipe_.reading.Reset();
  // The default action of SIGPIPE would end this process.
  EXPECT_EQ(WriteText("x"), -1);
  EXPECT_EQ(errno, EPIPE);
  EXPECT_FALSE(IsPending());
  EXPECT_FALSE(IsBlocked());
}

TEST_P(NoSignalWriteTest, ASignalThatWasPendingBeforeStays) {
  pipe_.reading.Reset();
  Block(true);
  raise(SIGPIPE);
  ASSERT_TRUE(IsPending());
  EXPECT_EQ(WriteText("x"), -1);
  EXPECT_TRUE(IsPending());
  EXPECT_TRUE(IsBlocked());
  sigset_t pipe_signal;
  sigemptyset(&pipe_signal);
  sigaddset(&pipe_signal, SIGPIPE);
  int taken = 0;
  EXPECT_EQ(sigwait(&pipe_signal, &taken), 0);
  Block(false);
}

}  // namespace
}  // namespace fifobus
