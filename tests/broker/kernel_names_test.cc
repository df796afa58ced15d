// What this kernel does with names, directories and locks, as far as fifobus
// relies on it: as kernel_test.cc does it for FIFOs. Sources: inotify(7),
// openat2(2), flock(2).
#include <fcntl.h>
#include <linux/openat2.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "broker/base/unique_fd.h"
#include "gtest/gtest.h"
#include "tests/support/kernel_fact.h"
#include "tests/support/pipe_support.h"

namespace fifobus {
namespace {

class KernelNamesTest : public testing::Test {
 protected:
  KernelNamesTest() { MakeFifo(fifo_); }

  const TempDir temp_;
  const std::string dir_ = temp_.path();
  const std::string fifo_ = dir_ + "/fifo";
};

TEST_F(KernelNamesTest, Openat2FollowsNoLinkAndLeavesNoDirectory) {
  ASSERT_EQ(symlink("fifo", (dir_ + "/link").c_str()), 0);
  const UniqueFd dir(open(dir_.c_str(), O_RDONLY | O_DIRECTORY));
  const auto open_beneath = [&](const char* path) {
    open_how how = {};
    how.flags = O_RDONLY | O_NONBLOCK;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;
    const UniqueFd fd(static_cast<int>(
        syscall(SYS_openat2, dir.get(), path, &how, sizeof(how))));
    return ErrnoName(fd.valid() ? 0 : errno);
  };
  EXPECT_EQ(Kernel("openat2 of a FIFO", open_beneath("fifo")), "ok");
  EXPECT_EQ(Kernel("openat2 of a symbolic link", open_beneath("link")),
            "ELOOP");
  EXPECT_EQ(Kernel("openat2 of ..", open_beneath("../etc")), "EXDEV");
}

TEST_F(KernelNamesTest, InotifyTellsOfNamesAndOpeningsButNotOfBytes) {
  const UniqueFd watch(inotify_init1(IN_NONBLOCK));
  ASSERT_GE(inotify_add_watch(watch.get(), dir_.c_str(), IN_ALL_EVENTS), 0);
  const auto seen = [&] {
    alignas(inotify_event) char events[4096];
    uint32_t mask = 0;
    const ssize_t size = read(watch.get(), events, sizeof(events));
    for (ssize_t at = 0; at < size;) {
      inotify_event event;
      std::memcpy(&event, events + at, sizeof(event));
      mask |= event.mask;
      at += static_cast<ssize_t>(sizeof(event) + event.len);
    }
    return mask;
  };
  ASSERT_EQ(mkfifo((dir_ + "/.new").c_str(), 0600), 0);
  EXPECT_TRUE(Kernel("inotify of mkfifo", seen()) & IN_CREATE);
  ASSERT_EQ(rename((dir_ + "/.new").c_str(), (dir_ + "/new").c_str()), 0);
  EXPECT_TRUE(Kernel("inotify of rename", seen()) & IN_MOVED_TO);
  const UniqueFd both(open(fifo_.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
  EXPECT_TRUE(Kernel("inotify of open", seen()) & IN_OPEN);
  ASSERT_EQ(write(both.get(), "bytes", 5), 5);
  EXPECT_FALSE(Kernel("inotify of write", seen()) & IN_MODIFY);
  ASSERT_EQ(unlink(fifo_.c_str()), 0);
  EXPECT_TRUE(Kernel("inotify of unlink", seen()) & IN_DELETE);
}

TEST_F(KernelNamesTest, InotifySaysNothingOfANameThatIsReplaced) {
  const UniqueFd watch(inotify_init1(IN_NONBLOCK));
  ASSERT_EQ(mkfifo((dir_ + "/.new").c_str(), 0600), 0);
  ASSERT_GE(inotify_add_watch(watch.get(), dir_.c_str(),
                              IN_CREATE | IN_DELETE | IN_MOVE | IN_ATTRIB),
            0);
  ASSERT_EQ(rename((dir_ + "/.new").c_str(), fifo_.c_str()), 0);
  alignas(inotify_event) char events[4096];
  const ssize_t size = read(watch.get(), events, sizeof(events));
  std::string seen;
  for (ssize_t at = 0; at < size;) {
    inotify_event event;
    std::memcpy(&event, events + at, sizeof(event));
    seen += (event.mask & IN_MOVED_FROM) != 0 ? "from " : "";
    seen += (event.mask & IN_MOVED_TO) != 0 ? "to " : "";
    seen += (event.mask & IN_DELETE) != 0 ? "delete " : "";
    at += static_cast<ssize_t>(sizeof(event) + event.len);
  }
  EXPECT_EQ(Kernel("inotify of a rename to a name that is taken", seen),
            "from to ");
}

TEST_F(KernelNamesTest, AReadLeaseIsForFilesThatNobodyWrites) {
  const std::string path = dir_ + "/file";
  UniqueFd writer(open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  const UniqueFd reader(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  const auto lease = [&] {
    const int error = fcntl(reader.get(), F_SETLEASE, F_RDLCK) ? errno : 0;
    (void)fcntl(reader.get(), F_SETLEASE, F_UNLCK);
    return ErrnoName(error);
  };
  EXPECT_EQ(Kernel("a lease on a file with a writer", lease()), "EAGAIN");
  writer.Reset();
  EXPECT_EQ(Kernel("a lease on a file without one", lease()), "ok");
}

TEST_F(KernelNamesTest, ALockEndsWithItsProcess) {
  const std::string path = dir_ + "/lock";
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  if (child == 0) {
    const int fd = open(path.c_str(), O_RDWR | O_CREAT, 0600);
    flock(fd, LOCK_EX);
    (void)!write(ready[1], "x", 1);
    pause();
  }
  char byte;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  const UniqueFd fd(open(path.c_str(), O_RDWR));
  EXPECT_EQ(Kernel("flock while another has it",
                   ErrnoName(flock(fd.get(), LOCK_EX | LOCK_NB) ? errno : 0)),
            "EAGAIN");
  kill(child, SIGKILL);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(
      Kernel("flock after its SIGKILL", flock(fd.get(), LOCK_EX | LOCK_NB)), 0);
  close(ready[0]);
  close(ready[1]);
}

}  // namespace
}  // namespace fifobus
