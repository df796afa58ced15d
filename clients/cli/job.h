#ifndef FIFOBUS_CLIENTS_CLI_JOB_H_
#define FIFOBUS_CLIENTS_CLI_JOB_H_

#include <poll.h>
#include <sys/types.h>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "broker/base/unique_fd.h"

namespace fifobus::cli {

// A shell command that gets some input and whose output is gathered, without
// ever waiting for it. It and its children are killed when it is destroyed, and
// the shell also when this process is killed. No zombie is left.
//
//   running --its exit--> ended
//
// What the command's own children write after its end is not waited for.
// Thread-compatible.
class Job {
 public:
  // Runs `command` in /bin/sh with the environment of this process and
  // `variables` ("NAME=VALUE"). REQUIRES: SIGPIPE is ignored.
  static absl::StatusOr<std::unique_ptr<Job>> Start(
      const std::string& command, const std::vector<std::string>& variables,
      std::string_view input);
  ~Job();
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  // Appends what to wait for by poll(2).
  void AddPolled(std::vector<pollfd>& polled) const;

  // Moves input and output as far as it goes at once. kOutputTooLong: to be
  // destroyed.
  enum class State { kRunning, kEnded, kOutputTooLong };
  [[nodiscard]] State Advance();

  const std::string& output() const { return output_; }
  // Once it has ended: 0 to 255, or 128 + the signal's number.
  int exit_code() const { return exit_code_; }

 private:
  Job() = default;
  void WriteInput();
  State ReadOutput();

  pid_t pid_ = -1;
  UniqueFd pidfd_;
  UniqueFd stdin_;
  UniqueFd stdout_;
  std::string input_;
  size_t input_written_ = 0;
  std::string output_;
  int exit_code_ = 0;
};

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_JOB_H_
