#ifndef FIFOBUS_CLIENTS_CLI_SHELL_SHELL_CHILD_H_
#define FIFOBUS_CLIENTS_CLI_SHELL_SHELL_CHILD_H_

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "broker/base/unique_fd.h"

namespace fifobus::cli {

// A command of /bin/sh whose standard input is a pipe. Of this process's
// descriptors it has only standard error and, if the caller does not take it,
// standard output.
//
// It is a process group of its own. When the command has ended, what it has
// left running dies. When this process ends, all of the group dies, by SIGKILL.
// The command's signals are those of a program that was just started.
// Thread-compatible.
class ShellChild {
 public:
  enum class Stdout { kTaken, kInherited };

  // Runs `command` with the environment of this process and `variables`
  // ("NAME=VALUE"), which win over others of their name. The FIFOBUS_HEADER_*
  // of this process are not passed on: they belong to another message.
  // REQUIRES: one thread in this process.
  static absl::StatusOr<std::unique_ptr<ShellChild>> Start(
      const std::string& command, const std::vector<std::string>& variables,
      Stdout output);
  ~ShellChild();
  ShellChild(const ShellChild&) = delete;
  ShellChild& operator=(const ShellChild&) = delete;

  // The ends of its pipes, not blocking. The output is invalid if inherited.
  UniqueFd& input() { return input_; }
  UniqueFd& output() { return output_; }
  // Readable for poll(2) when it has ended.
  const UniqueFd& end() const { return pidfd_; }

  // If it has ended: 0 to 255, or 128 + the signal's number. Once.
  std::optional<int> Reap();

 private:
  ShellChild() = default;

  pid_t pid_ = -1;
  UniqueFd pidfd_;
  UniqueFd input_;
  UniqueFd output_;
};

// "exit status 7", or "signal 9" for 128 + 9.
std::string ExitText(int exit_code);

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_SHELL_SHELL_CHILD_H_
