#ifndef FIFOBUS_BROKER_IO_PIPE_ALLOWANCE_H_
#define FIFOBUS_BROKER_IO_PIPE_ALLOWANCE_H_

#include <cstddef>

namespace fifobus {

// What the kernel lets the pipes of a user have: pipe(7).
struct PipeLimits {
  size_t user_bytes = 0;  // pipe-user-pages-soft; 0: not bounded
  // The limit does not apply to this process, which has CAP_SYS_RESOURCE or
  // CAP_SYS_ADMIN. Its pipes count for its user all the same.
  bool exempt = false;
};

// Reads the limits from /proc. A limit that cannot be read is taken to be the
// kernel's default.
PipeLimits ReadPipeLimits();

// The budget for a broker's grown pipes: `bytes_max`, but at most half of what
// the user may have, unless the process is exempt. The other half is for all
// other programs of the user.
size_t PipeAllowance(const PipeLimits& limits, size_t bytes_max);

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_IO_PIPE_ALLOWANCE_H_
