#include "clients/cli/output.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace fifobus::cli {

Output::Outcome Output::Flush() {
  size_t written = 0;
  while (written < text_.size()) {
    const ssize_t bytes =
        write(STDOUT_FILENO, text_.data() + written, text_.size() - written);
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0) {
      return errno == EPIPE ? Outcome::kReaderGone : Outcome::kFailed;
    }
    written += static_cast<size_t>(bytes);
  }
  text_.clear();
  return Outcome::kWritten;
}

pollfd StandardOutputWatch() {
  // Others, such as a closed descriptor, would be ready all the time.
  struct stat about;
  const bool may_hang_up = fstat(STDOUT_FILENO, &about) == 0 &&
                           (S_ISFIFO(about.st_mode) || S_ISSOCK(about.st_mode));
  // POLLERR and POLLHUP come unasked: poll(2).
  return {may_hang_up ? STDOUT_FILENO : -1, 0, 0};
}

bool StandardOutputIsUnread() {
  pollfd watch = StandardOutputWatch();
  return poll(&watch, 1, 0) > 0;
}

Exit ExitOf(Output::Outcome outcome, Exit otherwise) {
  switch (outcome) {
    case Output::Outcome::kWritten:
      return otherwise;
    case Output::Outcome::kReaderGone:
      return kDone;
    case Output::Outcome::kFailed:
      break;
  }
  return Fail(absl::ErrnoToStatus(errno, "standard output"));
}

}  // namespace fifobus::cli
