#ifndef FIFOBUS_BROKER_SEAM_DISK_H_
#define FIFOBUS_BROKER_SEAM_DISK_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/types/span.h"

// The seam between the logs and the disk: the core decides what is written
// where and what must be on disk before what; a disk carries it out. The core
// never sees a file descriptor, a disk never sees a message.
namespace fifobus {

enum class DiskOutcome {
  kDone,
  kNoRoom,   // ENOSPC or EDQUOT; the same call may succeed later
  kExists,   // the name to be made is there already
  kMissing,  // no file has this name
  kLocked,   // another process holds the lock
  kFailed,   // anything else; `error` says what
};

// What a call has come to. `bytes` counts what was read, written or measured,
// and `error` is an errno for people.
struct [[nodiscard]] DiskResult {
  DiskOutcome outcome = DiskOutcome::kDone;
  uint64_t bytes = 0;
  int error = 0;

  bool ok() const { return outcome == DiskOutcome::kDone; }
};

// One open file.
//
// Thread-safe for reads of bytes that nobody writes meanwhile; one thread at a
// time makes the other calls.
class DiskFile {
 public:
  virtual ~DiskFile() = default;

  // Writes the parts one behind the other. May be short: `bytes` of the front
  // were taken, and the caller goes on from there. An outcome other than kDone
  // says that nothing was taken.
  virtual DiskResult WriteAt(uint64_t position,
                             absl::Span<const std::string_view> parts) = 0;

  // May be short; no bytes at the end of the file.
  virtual DiskResult ReadAt(uint64_t position, char* bytes,
                            size_t size) const = 0;

  // Returns when all that was written is on the disk: fdatasync(2). After a
  // failure nobody knows which pages are, and a second call that succeeds says
  // nothing about them. kMissing: they are, and nobody will find them, because
  // the file was removed.
  virtual DiskResult Sync() = 0;

  virtual DiskResult Truncate(uint64_t size) = 0;
  virtual DiskResult Size() const = 0;
};

// What an open or a creation has come to; without a file unless it is kDone.
struct [[nodiscard]] OpenedFile {
  DiskResult result;
  std::shared_ptr<DiskFile> file;
};

// What a folder holds, in no order.
struct [[nodiscard]] FolderListing {
  DiskResult result;
  std::vector<std::string> names;
};

// One folder of files. A file's name is on disk only after SyncFolder.
//
// Thread-safe.
class Disk {
 public:
  virtual ~Disk() = default;

  // Makes a file that was not there, open for reading and writing.
  virtual OpenedFile Create(const std::string& name) = 0;
  virtual OpenedFile Open(const std::string& name) = 0;
  virtual FolderListing List() = 0;
  virtual DiskResult Rename(const std::string& from, const std::string& to) = 0;
  virtual DiskResult Remove(const std::string& name) = 0;
  virtual DiskResult SyncFolder() = 0;

  // Keeps others out until the disk is destroyed or its process ends.
  virtual DiskResult Lock() = 0;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_SEAM_DISK_H_
