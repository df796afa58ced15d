#include "broker/base/check.h"

#include <poll.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace fifobus::internal_check {

void Fail(const char* condition, const char* file, int line) {
  // A pipe that nobody reads must not keep the process from ending.
  pollfd writable = {STDERR_FILENO, POLLOUT, 0};
  if (poll(&writable, 1, 0) == 1) {
    std::fprintf(stderr, "fifobus: %s:%d: check failed: %s\n", file, line,
                 condition);
  }
  std::abort();
}

}  // namespace fifobus::internal_check
