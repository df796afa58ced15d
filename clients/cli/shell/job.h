#ifndef FIFOBUS_CLIENTS_CLI_SHELL_JOB_H_
#define FIFOBUS_CLIENTS_CLI_SHELL_JOB_H_

#include <poll.h>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "clients/cli/shell/shell_child.h"

namespace fifobus::cli {

// A shell command that gets some input and whose output is gathered, if it is
// taken, without ever waiting for it. Destroyed before its end, it is killed.
//
//   running --its exit--> ended
//
// What the command's own children write after its end is not waited for.
// Thread-compatible.
class Job {
 public:
  // As ShellChild::Start. REQUIRES: SIGPIPE is ignored.
  static absl::StatusOr<std::unique_ptr<Job>> Start(
      const std::string& command, const std::vector<std::string>& variables,
      std::string_view input,
      ShellChild::Stdout output = ShellChild::Stdout::kTaken);

  // Appends what to wait for by poll(2).
  void AddPolled(std::vector<pollfd>& polled) const;

  // Moves as much input and output as the pipes take at once. kOutputTooLong:
  // the job is to be destroyed.
  enum class State { kRunning, kEnded, kOutputTooLong };
  [[nodiscard]] State Advance();

  const std::string& output() const { return output_; }
  // Once it has ended, as ShellChild::Reap.
  int exit_code() const { return exit_code_; }

 private:
  Job() = default;
  void WriteInput();
  State ReadOutput();

  std::unique_ptr<ShellChild> child_;
  std::string input_;
  size_t input_written_ = 0;
  std::string output_;
  int exit_code_ = 0;
};

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_SHELL_JOB_H_
