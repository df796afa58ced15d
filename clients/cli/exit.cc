#include "clients/cli/exit.h"

#include <unistd.h>

#include <cerrno>
#include <string>

namespace fifobus::cli {

void Warn(std::string_view text) {
  std::string line = "fifobus: ";
  line += text;
  line += '\n';
  std::string_view rest = line;
  while (!rest.empty()) {
    const ssize_t bytes = write(STDERR_FILENO, rest.data(), rest.size());
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0) return;
    rest.remove_prefix(static_cast<size_t>(bytes));
  }
}

Exit Fail(const absl::Status& status) {
  const absl::string_view message = status.message();
  Warn(std::string_view(message.data(), message.size()));
  return absl::IsDeadlineExceeded(status) ? kTimedOut : kFailed;
}

}  // namespace fifobus::cli
