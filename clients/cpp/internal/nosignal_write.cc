#include "clients/cpp/internal/nosignal_write.h"

#include <signal.h>
#include <time.h>

#include <atomic>
#include <cerrno>

namespace fifobus {
namespace {

// include/uapi/linux/fs.h; glibc 2.36 does not name it yet.
constexpr int kRwfNoSignal = 0x100;

std::atomic<bool> kernel_lacks_flag{false};

}  // namespace

namespace internal {

ssize_t WriteWithSignalBlocked(int fd, const iovec* parts, int count) {
  sigset_t pipe_signal;
  sigset_t pending;
  sigset_t before;
  sigemptyset(&pipe_signal);
  sigaddset(&pipe_signal, SIGPIPE);
  // One that is pending already is not ours to take.
  sigpending(&pending);
  const bool was_pending = sigismember(&pending, SIGPIPE) == 1;
  pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
  const ssize_t written = writev(fd, parts, count);
  const int error = errno;
  if (written < 0 && error == EPIPE && !was_pending) {
    const timespec now = {0, 0};
    while (sigtimedwait(&pipe_signal, nullptr, &now) < 0 && errno == EINTR) {
    }
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  errno = error;
  return written;
}

}  // namespace internal

ssize_t WriteWithoutSignal(int fd, const iovec* parts, int count) {
  if (!kernel_lacks_flag.load(std::memory_order_relaxed)) {
    const ssize_t written = pwritev2(fd, parts, count, -1, kRwfNoSignal);
    if (written >= 0 ||
        (errno != EOPNOTSUPP && errno != EINVAL && errno != ENOSYS)) {
      return written;
    }
    kernel_lacks_flag.store(true, std::memory_order_relaxed);
  }
  return internal::WriteWithSignalBlocked(fd, parts, count);
}

}  // namespace fifobus
