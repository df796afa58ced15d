#ifndef FIFOBUS_BROKER_IO_POSIX_DISK_H_
#define FIFOBUS_BROKER_IO_POSIX_DISK_H_

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "broker/base/mutex.h"
#include "broker/base/unique_fd.h"
#include "broker/seam/disk.h"

namespace fifobus {

// A file of a PosixDisk. Thread-safe as DiskFile says.
class PosixFile : public DiskFile {
 public:
  explicit PosixFile(UniqueFd fd);

  DiskResult WriteAt(uint64_t position,
                     absl::Span<const std::string_view> parts) override;
  DiskResult ReadAt(uint64_t position, char* bytes, size_t size) const override;
  DiskResult Sync() override;
  DiskResult Truncate(uint64_t size) override;
  DiskResult Size() const override;

  // For splice(2) from the file; valid while the file lives.
  int fd() const { return fd_.get(); }

 private:
  const UniqueFd fd_;
  const bool had_name_;  // some file systems never say so
};

// A folder of a real file system. Its files are opened below it, without
// following links. The folder should be the broker's alone: mode 0700.
//
// Thread-safe.
class PosixDisk : public Disk {
 public:
  // Makes the last part of `path` with mode 0700 if it is missing, and syncs
  // the folder above it then. A folder of another user is refused.
  static absl::StatusOr<std::unique_ptr<PosixDisk>> OpenFolder(
      const std::string& path);

  // For reading alone: what would change the folder or a file fails with EROFS.
  // The folder may be of any user that lets this one read it.
  static absl::StatusOr<std::unique_ptr<PosixDisk>> OpenFolderToRead(
      const std::string& path);

  OpenedFile Create(const std::string& name) override;
  OpenedFile Open(const std::string& name) override;
  FolderListing List() override;
  DiskResult Rename(const std::string& from, const std::string& to) override;
  DiskResult Remove(const std::string& name) override;
  DiskResult SyncFolder() override;
  // Locks the file `lock`, which it makes, by flock(2).
  DiskResult Lock() override;

 private:
  enum class Access { kReadAndWrite, kReadOnly };
  PosixDisk(UniqueFd folder, Access access)
      : folder_(std::move(folder)), access_(access) {}

  OpenedFile OpenFile(const std::string& name, uint64_t flags);
  bool read_only() const { return access_ == Access::kReadOnly; }

  const UniqueFd folder_;
  const Access access_;
  Mutex mutex_;
  UniqueFd lock_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_IO_POSIX_DISK_H_
