#ifndef FIFOBUS_CLIENTS_CLI_EXIT_H_
#define FIFOBUS_CLIENTS_CLI_EXIT_H_

#include <string_view>

#include "absl/status/status.h"

// How a command ends, and what it says on standard error.
namespace fifobus::cli {

// The process's exit codes.
enum Exit {
  kDone = 0,
  kFailed = 1,
  kUsage = 2,
  kTimedOut = 3,
};

inline constexpr std::string_view kExitCodes =
    "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 timed out.";

// Prints "fifobus: TEXT" and a newline to standard error. Text that standard
// error does not take, because it is closed or full, is lost. Thread-safe.
void Warn(std::string_view text);

// Warns of the status. Returns kTimedOut for DeadlineExceeded, else kFailed.
Exit Fail(const absl::Status& status);

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_EXIT_H_
