#include "broker/io/bus_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <array>
#include <cerrno>
#include <utility>

#include "broker/io/file_system.h"
#include "fmt/format.h"
#include "proto/bus_paths.h"

namespace fifobus {
namespace {

absl::Status CheckFileSystem(int fd, const std::string& path) {
  struct statfs file_system;
  if (fstatfs(fd, &file_system) != 0) {
    return absl::ErrnoToStatus(errno, fmt::format("statfs {}", path));
  }
  const std::string remote = RemoteFileSystem(file_system.f_type);
  if (remote.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      fmt::format("{} is on {}, where FIFOs do not connect processes; choose a "
                  "directory on a local file system, best on tmpfs",
                  path, remote));
}

std::string ReadPid(int fd) {
  std::array<char, 32> text = {};
  const ssize_t size = pread(fd, text.data(), text.size() - 1, 0);
  if (size <= 0) return "unknown";
  const std::string pid(text.data(), static_cast<size_t>(size));
  return pid.substr(0, pid.find('\n'));
}

}  // namespace

absl::StatusOr<std::unique_ptr<BusDirectory>> BusDirectory::Open(
    const std::string& path) {
  auto bus = std::unique_ptr<BusDirectory>(new BusDirectory(path));
  absl::Status status = bus->OpenDirectory();
  if (status.ok()) status = bus->Lock();
  if (status.ok()) status = bus->MakeFolder(kSessionsFolder);
  if (status.ok()) status = bus->MakeFolder(kTopicsFolder);
  if (status.ok()) status = bus->RaiseAlive();
  if (!status.ok()) return status;
  return bus;
}

absl::StatusOr<std::unique_ptr<BusDirectory>> BusDirectory::TakeOver(
    const std::string& path, const Held& held) {
  auto bus = std::unique_ptr<BusDirectory>(new BusDirectory(path));
  bus->lock_fd_ = UniqueFd(held.lock_fd);
  bus->alive_fd_ = UniqueFd(held.alive_fd);
  for (const int fd : {held.lock_fd, held.alive_fd}) {
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
      return absl::ErrnoToStatus(errno, fmt::format("keep {} locked", path));
    }
  }
  absl::Status status = bus->OpenDirectory();
  if (status.ok()) status = bus->CheckLock();
  if (status.ok()) status = bus->MakeFolder(kSessionsFolder);
  if (status.ok()) status = bus->MakeFolder(kTopicsFolder);
  if (!status.ok()) return status;
  return bus;
}

FifoTrust BusDirectory::trust() const { return {geteuid()}; }

absl::Status BusDirectory::Unlink(const std::string& name) const {
  if (unlinkat(fd_.get(), name.c_str(), 0) == 0 || errno == ENOENT) {
    return absl::OkStatus();
  }
  return absl::ErrnoToStatus(errno, fmt::format("remove {}/{}", path_, name));
}

// With its parents, as `mkdir -p` does it.
absl::Status BusDirectory::MakeDirectory() const {
  size_t slash = 0;
  while (slash != std::string::npos) {
    slash = path_.find('/', slash + 1);
    const std::string part = path_.substr(0, slash);
    if (mkdir(part.c_str(), 0700) == 0 || errno == EEXIST) continue;
    const int error = errno;
    // It may be there all the same: mkdir(2) on a read-only file system.
    struct stat status;
    if (stat(part.c_str(), &status) == 0 && S_ISDIR(status.st_mode)) continue;
    return absl::ErrnoToStatus(error, fmt::format("make directory {}", part));
  }
  return absl::OkStatus();
}

absl::Status BusDirectory::OpenDirectory() {
  absl::Status made = MakeDirectory();
  if (!made.ok()) return made;
  struct stat status;
  if (lstat(path_.c_str(), &status) == 0 && S_ISLNK(status.st_mode)) {
    return absl::PermissionDeniedError(
        fmt::format("{} is a symbolic link; name the directory itself", path_));
  }
  fd_.Reset(
      open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd_.valid()) {
    return absl::ErrnoToStatus(errno, fmt::format("open directory {}", path_));
  }
  if (fstat(fd_.get(), &status) != 0) {
    return absl::ErrnoToStatus(errno, fmt::format("stat {}", path_));
  }
  if (status.st_uid != geteuid()) {
    return absl::PermissionDeniedError(
        fmt::format("{} belongs to user {}; a broker runs only on its own "
                    "user's directory",
                    path_, status.st_uid));
  }
  if ((status.st_mode & 077) != 0) {
    return absl::PermissionDeniedError(fmt::format(
        "{} is open to other users; run: chmod 700 {}", path_, path_));
  }
  return CheckFileSystem(fd_.get(), path_);
}

absl::Status BusDirectory::Lock() {
  lock_fd_.Reset(openat(fd_.get(), kLockName,
                        O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!lock_fd_.valid()) {
    return absl::ErrnoToStatus(errno,
                               fmt::format("open {}/broker.lock", path_));
  }
  if (flock(lock_fd_.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) {
      return absl::ErrnoToStatus(errno,
                                 fmt::format("lock {}/broker.lock", path_));
    }
    return absl::FailedPreconditionError(fmt::format(
        "a broker runs on {} already: pid {}", path_, ReadPid(lock_fd_.get())));
  }
  const std::string pid = fmt::format("{}\n", getpid());
  if (ftruncate(lock_fd_.get(), 0) != 0 ||
      pwrite(lock_fd_.get(), pid.data(), pid.size(), 0) !=
          static_cast<ssize_t>(pid.size())) {
    return absl::ErrnoToStatus(errno,
                               fmt::format("write {}/broker.lock", path_));
  }
  return absl::OkStatus();
}

// Another directory may have the path by now, or a file the lock's name.
absl::Status BusDirectory::CheckLock() const {
  struct stat held;
  struct stat named;
  if (fstat(lock_fd_.get(), &held) != 0 ||
      fstatat(fd_.get(), kLockName, &named, AT_SYMLINK_NOFOLLOW) != 0) {
    return absl::ErrnoToStatus(errno,
                               fmt::format("look at {}/broker.lock", path_));
  }
  if (held.st_dev == named.st_dev && held.st_ino == named.st_ino) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(fmt::format(
      "{}/broker.lock is not the file that this broker has locked", path_));
}

absl::Status BusDirectory::MakeFolder(std::string_view folder) const {
  const std::string name(folder);
  struct stat status;
  if (mkdirat(fd_.get(), name.c_str(), 0700) != 0 && errno != EEXIST) {
    return absl::ErrnoToStatus(errno, fmt::format("mkdir {}/{}", path_, name));
  }
  if (fstatat(fd_.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0 ||
      !S_ISDIR(status.st_mode)) {
    return absl::FailedPreconditionError(
        fmt::format("{}/{} is not a directory; remove it", path_, name));
  }
  return absl::OkStatus();
}

// A FIFO that is not new may have a reader that waits, or a leftover writer
// that would feign life; so it is made anew each time.
absl::Status BusDirectory::RaiseAlive() {
  absl::Status removed = Unlink(kAliveName);
  if (!removed.ok()) return removed;
  if (mkfifoat(fd_.get(), kAliveName, 0600) != 0) {
    return absl::ErrnoToStatus(errno, fmt::format("mkfifo {}/alive", path_));
  }
  FifoOpening opening = OpenFifoToHold(fd_.get(), kAliveName, trust());
  if (opening.outcome != FifoOpenOutcome::kOpened) {
    return absl::UnavailableError(
        fmt::format("open {}/alive: {}", path_, opening.refusal));
  }
  alive_fd_ = std::move(opening.fd);
  return absl::OkStatus();
}

}  // namespace fifobus
