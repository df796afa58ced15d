#include "broker/io/pipe_allowance.h"

#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

namespace fifobus {
namespace {

// include/uapi/linux/nsfs.h, USER_NS_INIT_INO, which Debian's headers lack.
constexpr ino_t kInitialUserNamespace = 0xEFFFFFFD;

size_t ReadSetting(const char* path, size_t otherwise) {
  std::ifstream file(path);
  size_t value = 0;
  return file >> value ? value : otherwise;
}

bool HasEither(int capability, int other) {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
  if (syscall(SYS_capget, &header, data) != 0) return false;
  const auto has = [&data](int cap) {
    return (data[CAP_TO_INDEX(cap)].effective & CAP_TO_MASK(cap)) != 0;
  };
  return has(capability) || has(other);
}

// fs/pipe.c, pipe_is_unprivileged_user. In other user namespaces root has these
// capabilities in name only.
bool IsExempt() {
  struct stat ns = {};
  return stat("/proc/self/ns/user", &ns) == 0 &&
         ns.st_ino == kInitialUserNamespace &&
         HasEither(CAP_SYS_RESOURCE, CAP_SYS_ADMIN);
}

}  // namespace

PipeLimits ReadPipeLimits() {
  const auto page_bytes = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return {ReadSetting("/proc/sys/fs/pipe-user-pages-soft", 16384) * page_bytes,
          IsExempt()};
}

size_t PipeAllowance(const PipeLimits& limits, size_t bytes_max) {
  if (limits.exempt || limits.user_bytes == 0) return bytes_max;
  return std::min(bytes_max, limits.user_bytes / 2);
}

}  // namespace fifobus
