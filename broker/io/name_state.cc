#include "broker/io/name_state.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "broker/base/check.h"

namespace fifobus {
namespace {

FileKind KindOf(mode_t mode) {
  if (S_ISFIFO(mode)) return FileKind::kFifo;
  if (S_ISDIR(mode)) return FileKind::kFolder;
  return S_ISREG(mode) ? FileKind::kRegular : FileKind::kOther;
}

}  // namespace

FileIdentity IdentityOf(int fd) {
  struct stat status;
  FIFOBUS_CHECK(fstat(fd, &status) == 0);
  return {status.st_dev, status.st_ino};
}

NameState StateOf(int dir_fd, const std::string& path) {
  struct stat status;
  if (fstatat(dir_fd, path.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
    return {};
  }
  return {
      KindOf(status.st_mode), {status.st_dev, status.st_ino}, status.st_nlink};
}

}  // namespace fifobus
