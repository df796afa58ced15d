#ifndef FIFOBUS_CLIENTS_CPP_INTERNAL_NOSIGNAL_WRITE_H_
#define FIFOBUS_CLIENTS_CPP_INTERNAL_NOSIGNAL_WRITE_H_

#include <sys/types.h>
#include <sys/uio.h>

namespace fifobus {

// writev(2) that never raises SIGPIPE: a pipe without a reader gives -1 and
// EPIPE, and no setting of the process is touched. Uses RWF_NOSIGNAL where the
// kernel has it (Linux 6.18); elsewhere SIGPIPE is blocked in this thread
// meanwhile, and taken back if this write raised it. Thread-safe.
ssize_t WriteWithoutSignal(int fd, const iovec* parts, int count);

namespace internal {
// The way without RWF_NOSIGNAL, for tests on kernels that have it.
ssize_t WriteWithSignalBlocked(int fd, const iovec* parts, int count);
}  // namespace internal

}  // namespace fifobus

#endif  // FIFOBUS_CLIENTS_CPP_INTERNAL_NOSIGNAL_WRITE_H_
