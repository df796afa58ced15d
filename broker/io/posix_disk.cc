#include "broker/io/posix_disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "absl/status/status.h"
#include "broker/io/open_beneath.h"

namespace fifobus {
namespace {

// What one writev takes; a batch has few parts.
constexpr size_t kPartsMax = 64;
static_assert(kPartsMax <= IOV_MAX);

DiskResult Failure(int error) {
  DiskOutcome outcome = DiskOutcome::kFailed;
  if (error == ENOSPC || error == EDQUOT) outcome = DiskOutcome::kNoRoom;
  if (error == EEXIST) outcome = DiskOutcome::kExists;
  if (error == ENOENT) outcome = DiskOutcome::kMissing;
  if (error == EWOULDBLOCK) outcome = DiskOutcome::kLocked;
  return {outcome, 0, error};
}

// Calls until no signal interrupts it. The answer of a call that is -1 or more.
template <typename Call>
DiskResult Result(Call call) {
  ssize_t answer = -1;
  do {
    answer = call();
  } while (answer < 0 && errno == EINTR);
  if (answer < 0) return Failure(errno);
  return {DiskOutcome::kDone, static_cast<uint64_t>(answer), 0};
}

bool HasName(const UniqueFd& fd) {
  struct stat status = {};
  return fstat(fd.get(), &status) == 0 && status.st_nlink > 0;
}

}  // namespace

PosixFile::PosixFile(UniqueFd fd)
    : fd_(std::move(fd)), had_name_(HasName(fd_)) {}

DiskResult PosixFile::WriteAt(uint64_t position,
                              absl::Span<const std::string_view> parts) {
  std::array<iovec, kPartsMax> ranges;
  const size_t count = std::min(parts.size(), kPartsMax);
  for (size_t i = 0; i < count; ++i) {
    ranges[i] = {const_cast<char*>(parts[i].data()), parts[i].size()};
  }
  return Result([&] {
    return pwritev(fd_.get(), ranges.data(), static_cast<int>(count),
                   static_cast<off_t>(position));
  });
}

DiskResult PosixFile::ReadAt(uint64_t position, char* bytes,
                             size_t size) const {
  return Result([&] {
    return pread(fd_.get(), bytes, size, static_cast<off_t>(position));
  });
}

DiskResult PosixFile::Sync() {
  // Not repeated after EINTR: whether the error was reported is not known.
  if (fdatasync(fd_.get()) != 0) return Failure(errno);
  if (had_name_ && !HasName(fd_)) return Failure(ENOENT);
  return {};
}

DiskResult PosixFile::Truncate(uint64_t size) {
  return Result([&] { return ftruncate(fd_.get(), static_cast<off_t>(size)); });
}

DiskResult PosixFile::Size() const {
  struct stat status = {};
  if (fstat(fd_.get(), &status) != 0) return Failure(errno);
  return {DiskOutcome::kDone, static_cast<uint64_t>(status.st_size), 0};
}

absl::StatusOr<std::unique_ptr<PosixDisk>> PosixDisk::OpenFolder(
    const std::string& path) {
  if (mkdir(path.c_str(), 0700) == 0) {
    const size_t slash = path.find_last_not_of('/');
    const size_t end = path.rfind('/', slash);
    const std::string above =
        end == std::string::npos ? "." : path.substr(0, end + 1);
    const UniqueFd folder(
        open(above.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folder.valid() || fsync(folder.get()) != 0) {
      return absl::ErrnoToStatus(errno, "sync " + above);
    }
  } else if (errno != EEXIST) {
    return absl::ErrnoToStatus(errno, "mkdir " + path);
  }
  UniqueFd folder(
      open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!folder.valid()) {
    return absl::ErrnoToStatus(errno, "open " + path);
  }
  struct stat status = {};
  if (fstat(folder.get(), &status) != 0 || status.st_uid != geteuid()) {
    return absl::FailedPreconditionError(path + " belongs to another user");
  }
  return std::unique_ptr<PosixDisk>(
      new PosixDisk(std::move(folder), Access::kReadAndWrite));
}

absl::StatusOr<std::unique_ptr<PosixDisk>> PosixDisk::OpenFolderToRead(
    const std::string& path) {
  UniqueFd folder(
      open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!folder.valid()) return absl::ErrnoToStatus(errno, "open " + path);
  return std::unique_ptr<PosixDisk>(
      new PosixDisk(std::move(folder), Access::kReadOnly));
}

OpenedFile PosixDisk::OpenFile(const std::string& name, uint64_t flags) {
  const uint64_t access = read_only() ? O_RDONLY : O_RDWR;
  UniqueFd fd = OpenBeneath(folder_.get(), name, access | flags,
                            (flags & O_CREAT) != 0 ? 0600 : 0);
  if (!fd.valid()) return {Failure(errno), nullptr};
  return {{}, std::make_shared<PosixFile>(std::move(fd))};
}

OpenedFile PosixDisk::Create(const std::string& name) {
  if (read_only()) return {Failure(EROFS), nullptr};
  return OpenFile(name, O_CREAT | O_EXCL);
}

OpenedFile PosixDisk::Open(const std::string& name) {
  return OpenFile(name, 0);
}

FolderListing PosixDisk::List() {
  // A descriptor of its own, since a listing moves the folder's offset.
  UniqueFd fd = OpenBeneath(folder_.get(), ".", O_RDONLY | O_DIRECTORY);
  if (!fd.valid()) return {Failure(errno), {}};
  DIR* const folder = fdopendir(fd.get());
  if (folder == nullptr) return {Failure(errno), {}};
  (void)fd.Release();  // the DIR's now
  FolderListing listing;
  errno = 0;
  while (const dirent* entry = readdir(folder)) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") listing.names.emplace_back(name);
    errno = 0;
  }
  if (errno != 0) listing.result = Failure(errno);
  closedir(folder);
  return listing;
}

DiskResult PosixDisk::Rename(const std::string& from, const std::string& to) {
  if (read_only()) return Failure(EROFS);
  if (renameat(folder_.get(), from.c_str(), folder_.get(), to.c_str()) != 0) {
    return Failure(errno);
  }
  return {};
}

DiskResult PosixDisk::Remove(const std::string& name) {
  if (read_only()) return Failure(EROFS);
  if (unlinkat(folder_.get(), name.c_str(), 0) != 0) return Failure(errno);
  return {};
}

DiskResult PosixDisk::SyncFolder() {
  if (fsync(folder_.get()) != 0) return Failure(errno);
  return {};
}

DiskResult PosixDisk::Lock() {
  if (read_only()) return Failure(EROFS);
  UniqueFd fd = OpenBeneath(folder_.get(), "lock", O_RDWR | O_CREAT, 0600);
  if (!fd.valid()) return Failure(errno);
  if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) return Failure(errno);
  const MutexLock lock(mutex_);
  lock_ = std::move(fd);
  return {};
}

}  // namespace fifobus
