#ifndef FIFOBUS_BROKER_IO_FIFO_H_
#define FIFOBUS_BROKER_IO_FIFO_H_

#include <sys/types.h>

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "broker/base/unique_fd.h"
#include "broker/seam/sink.h"

// FIFOs by system calls, with errno turned into what it means for a FIFO:
// fifo(7), pipe(7). All descriptors are O_NONBLOCK and O_CLOEXEC. Thread-safe.
namespace fifobus {

enum class FifoOpenOutcome {
  kOpened,
  kNoReader,       // ENXIO: opened for writing, and nobody reads
  kGone,           // no such name any more
  kNoDescriptors,  // this process or the machine has no more
  kRefused,        // not what it should be; `refusal` says why
};

struct [[nodiscard]] FifoOpening {
  FifoOpenOutcome outcome = FifoOpenOutcome::kRefused;
  UniqueFd fd;
  std::string refusal;
};

// Whom a FIFO must belong to: this user or root.
struct FifoTrust {
  uid_t owner = 0;
};

// Opens `path`, relative to the directory `dir_fd`, and checks on the
// descriptor that it is a FIFO of a trusted owner with one name at most. Its
// mode does not matter: the bus directory lets nobody else in. Follows no
// symbolic link and leaves neither the directory nor its file system:
// openat2(2).
FifoOpening OpenFifoForReading(int dir_fd, const std::string& path,
                               const FifoTrust& trust);
FifoOpening OpenFifoForWriting(int dir_fd, const std::string& path,
                               const FifoTrust& trust);

// A writing end even where nobody reads: opened for both, then for writing,
// then the first is closed. What is in the pipe then stays when a reader
// leaves.
FifoOpening OpenFifoToHold(int dir_fd, const std::string& path,
                           const FifoTrust& trust);

// Sets the permissions of a FIFO without opening it. Fails if it is none.
absl::Status SetFifoMode(int dir_fd, const std::string& path, mode_t mode);

// The owner of an open FIFO's inode.
uid_t FifoOwner(int fd);

enum class ReadOutcome {
  kBytes,
  kEmpty,     // there are writers, and nothing to read
  kNoWriter,  // nothing to read, and nobody who could write
};
struct [[nodiscard]] ReadResult {
  ReadOutcome outcome = ReadOutcome::kEmpty;
  size_t bytes = 0;
};
ReadResult ReadFifo(int fd, char* buffer, size_t size);

// Writes until all is written or the pipe is full, in as few calls as the
// kernel allows (IOV_MAX slices each). REQUIRES: SIGPIPE is blocked or ignored.
SinkResult WriteFifo(int fd, absl::Span<const Slice> slices);

// Bytes in the pipe, and how many it can hold.
size_t UnreadBytes(int fd);
size_t PipeBytes(int fd);

// Asks for a size; the kernel may refuse (pipe-max-size, pipe-user-pages-soft),
// which leaves it as it is.
void TrySetPipeBytes(int fd, size_t bytes);

// True if nobody has the reading end of this writing end open.
bool LacksReader(int fd);

// True if the last writer has left this reading end, and nothing is unread.
bool IsHungUp(int fd);

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_IO_FIFO_H_
