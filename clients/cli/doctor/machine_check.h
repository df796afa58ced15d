#ifndef FIFOBUS_CLIENTS_CLI_DOCTOR_MACHINE_CHECK_H_
#define FIFOBUS_CLIENTS_CLI_DOCTOR_MACHINE_CHECK_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "clients/cli/doctor/finding.h"

// Whether the machine gives a broker what it needs: limits of the kernel,
// pipes, descriptors, watches, the clock. Thread-safe (no state).
namespace fifobus::cli {

// Where its answers come from.
struct Machine {
  std::string proc = "/proc";
  bool is_root = false;
  bool pipes_exempt = false;     // PipeLimits::exempt
  uint64_t descriptors_max = 0;  // RLIMIT_NOFILE, hard
  size_t fresh_pipe_bytes = 0;   // of a pipe made just now; 0: none was
  size_t grown_pipe_bytes = 0;   // what it could be made to hold
  absl::Status watch;            // of an inotify instance, made just now
  absl::Time now;
};
// This machine, as this process may use it.
Machine ThisMachine();

// The number that a setting of the kernel has, "sys/fs/pipe-max-size"; 0 if
// there is none.
uint64_t ReadNumber(const Machine& machine, const std::string& setting);

// `command` as this user has to say it.
std::string AsRoot(const Machine& machine, const std::string& command);

Finding CheckPipeLimits(const Machine& machine);
Finding CheckPipes(const Machine& machine);
Finding CheckDescriptors(const Machine& machine);
Finding CheckInotify(const Machine& machine);
Finding CheckClock(const Machine& machine);

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_DOCTOR_MACHINE_CHECK_H_
