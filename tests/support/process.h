#ifndef FIFOBUS_TESTS_SUPPORT_PROCESS_H_
#define FIFOBUS_TESTS_SUPPORT_PROCESS_H_

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "broker/base/child_process.h"

namespace fifobus {

// The path of the fifobus binary under test.
std::string FifobusBinary();

// A child process, killed and waited for at the end. A command that cannot be
// run fails the test. Thread-compatible.
class Process {
 public:
  // Standard output goes to `stdout_path`, or nowhere if that is empty;
  // standard error to `stderr_path` likewise.
  explicit Process(const std::vector<std::string>& command,
                   const std::string& stdout_path = "",
                   const std::string& stderr_path = "");

  pid_t pid() const { return child_->pid(); }
  void Signal(int number) const { child_->Signal(number); }
  // The exit code, or minus the signal that ended it.
  int Wait() { return child_->Wait(); }

 private:
  std::optional<ChildProcess> child_;
};

// Descriptors that a process has open.
size_t OpenDescriptorsOf(pid_t pid);

// How often the main thread and the workers of a broker have gone to sleep
// since it began. Sanitizers run a thread of their own, which does not count.
size_t SleepsOf(pid_t pid);

std::string ReadFile(const std::string& path);

}  // namespace fifobus

#endif  // FIFOBUS_TESTS_SUPPORT_PROCESS_H_
