#include "broker/io/open_beneath.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace fifobus {

UniqueFd OpenBeneath(int dir_fd, const std::string& path, uint64_t flags,
                     mode_t mode) {
  open_how how = {};
  how.flags = flags | O_CLOEXEC;
  how.mode = mode;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;
  return UniqueFd(static_cast<int>(
      syscall(SYS_openat2, dir_fd, path.c_str(), &how, sizeof(how))));
}

}  // namespace fifobus
