#ifndef FIFOBUS_BROKER_BASE_CHILD_PROCESS_H_
#define FIFOBUS_BROKER_BASE_CHILD_PROCESS_H_

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace fifobus {

// A program that runs as a child of this process: killed, if it still runs, and
// waited for when this object ends. SIGPIPE has its default effect in it,
// whatever this process does about the signal. Thread-compatible.
class ChildProcess {
 public:
  // Descriptors of this process that become the child's; -1: its own are
  // inherited.
  struct Files {
    int standard_input = -1;
    int standard_output = -1;
    int standard_error = -1;
  };

  // The first word is looked for in $PATH unless it has a slash. Fails if the
  // program cannot be run: posix_spawn(3). `variables`, each "NAME=VALUE", come
  // before those of this process.
  static absl::StatusOr<ChildProcess> Start(
      const std::vector<std::string>& command, const Files& files,
      const std::vector<std::string>& variables = {});
  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&& other) = delete;
  ~ChildProcess();

  pid_t pid() const { return pid_; }

  // Does nothing once the end was seen: its number may be another's by then.
  void Signal(int number) const;

  // How it ended: its exit code, or minus the signal that ended it. Wait waits
  // for that; Poll returns nothing while it runs.
  int Wait();
  std::optional<int> Poll();

 private:
  explicit ChildProcess(pid_t pid) : pid_(pid) {}

  std::optional<int> Reap(int wait_options);

  pid_t pid_;  // -1: moved from
  std::optional<int> result_;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_BASE_CHILD_PROCESS_H_
