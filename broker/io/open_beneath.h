#ifndef FIFOBUS_BROKER_IO_OPEN_BENEATH_H_
#define FIFOBUS_BROKER_IO_OPEN_BENEATH_H_

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "broker/base/unique_fd.h"

namespace fifobus {

// openat2(2) that follows no symbolic link and leaves neither the directory nor
// its file system. Adds O_CLOEXEC. Fails with errno and an invalid descriptor.
// Thread-safe.
UniqueFd OpenBeneath(int dir_fd, const std::string& path, uint64_t flags,
                     mode_t mode = 0);

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_IO_OPEN_BENEATH_H_
