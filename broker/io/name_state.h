#ifndef FIFOBUS_BROKER_IO_NAME_STATE_H_
#define FIFOBUS_BROKER_IO_NAME_STATE_H_

#include <sys/types.h>

#include <string>

// What lies under a name of the bus directory at the moment. Thread-safe.
namespace fifobus {

// Tells one file from every other, whatever its name, as long as a descriptor of
// it is open: a number may be taken again afterwards.
struct FileIdentity {
  dev_t device = 0;
  ino_t inode = 0;

  bool operator==(const FileIdentity& other) const = default;
};

FileIdentity IdentityOf(int fd);

enum class FileKind { kMissing, kFifo, kFolder, kRegular, kOther };

struct NameState {
  FileKind kind = FileKind::kMissing;
  FileIdentity identity;
  nlink_t names = 0;
};

// Follows no symbolic link at the end of `path`, which is relative to `dir_fd`.
NameState StateOf(int dir_fd, const std::string& path);

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_IO_NAME_STATE_H_
