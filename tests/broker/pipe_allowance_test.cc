#include "broker/io/pipe_allowance.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vector>

#include "broker/base/unique_fd.h"
#include "gtest/gtest.h"

namespace fifobus {
namespace {

constexpr size_t kMax = 1000;

TEST(PipeAllowance, IsHalfOfWhatTheUserMayHave) {
  EXPECT_EQ(PipeAllowance({.user_bytes = 1000}, kMax), 500u);
  EXPECT_EQ(PipeAllowance({.user_bytes = 4000}, kMax), kMax);
}

TEST(PipeAllowance, IsNotBoundByLimitsThatDoNotApply) {
  EXPECT_EQ(PipeAllowance({.user_bytes = 0}, kMax), kMax);
  EXPECT_EQ(PipeAllowance({.user_bytes = 10, .exempt = true}, kMax), kMax);
}

// Whether the kernel lets this process's pipes have more than its user may.
bool KernelMakesAnException(size_t user_bytes) {
  constexpr int kPipeBytes = 1 << 20;
  std::vector<UniqueFd> ends;
  for (size_t bytes = 0; bytes <= user_bytes; bytes += kPipeBytes) {
    int pair[2] = {-1, -1};
    if (pipe(pair) != 0) return false;
    ends.emplace_back(pair[0]);
    ends.emplace_back(pair[1]);
    if (fcntl(pair[1], F_SETPIPE_SZ, kPipeBytes) < 0) return false;
  }
  return true;
}

TEST(PipeAllowance, TheKernelSeesItTheSameWay) {
  const PipeLimits limits = ReadPipeLimits();
  if (limits.user_bytes > size_t{256} << 20) GTEST_SKIP() << "a large limit";
  EXPECT_EQ(limits.exempt || limits.user_bytes == 0,
            KernelMakesAnException(limits.user_bytes));
}

TEST(PipeAllowance, WhoGivesUpRootIsNotExempt) {
  if (geteuid() != 0) GTEST_SKIP() << "not root";
  const pid_t child = fork();
  if (child == 0) {
    // A user that has nothing; the kernel's limits are read all the same.
    if (setresuid(65534, 65534, 65534) != 0) _exit(2);
    _exit(ReadPipeLimits().exempt ? 1 : 0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  if (WEXITSTATUS(status) == 2) GTEST_SKIP() << "there is no other user";
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace fifobus
