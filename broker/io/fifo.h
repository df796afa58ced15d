#ifndef FIFOBUS_BROKER_IO_FIFO_H_
#define FIFOBUS_BROKER_IO_FIFO_H_

#include <sys/types.h>

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "broker/base/unique_fd.h"
#include "broker/seam/sink.h"

// System calls on FIFOs, with errno turned into what it means for a FIFO:
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

// The owners that a FIFO may have: this user or root.
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

// Opens a writing end even where nobody reads: opens the FIFO for both, then for
// writing, and closes the first. While it is held, what is in the pipe stays
// when a reader leaves.
FifoOpening OpenFifoToHold(int dir_fd, const std::string& path,
                           const FifoTrust& trust);

// Sets the permissions of a FIFO without opening it. Fails if it is not a FIFO.
absl::Status SetFifoMode(int dir_fd, const std::string& path, mode_t mode);

// The owner of an open FIFO's inode.
uid_t FifoOwner(int fd);

enum class ReadOutcome {
  kBytes,
  kEmpty,     // there are writers, and nothing to read
  kNoWriter,  // nothing to read, and no writer
};
struct [[nodiscard]] ReadResult {
  ReadOutcome outcome = ReadOutcome::kEmpty;
  size_t bytes = 0;
};
ReadResult ReadFifo(int fd, char* buffer, size_t size);

// Writes until all is written or the pipe is full. REQUIRES: SIGPIPE is blocked
// or ignored.
SinkResult WriteFifo(int fd, absl::Span<const Slice> slices);

// The bytes in the pipe, and how many it can hold.
size_t UnreadBytes(int fd);
size_t PipeBytes(int fd);

// Reads what is in the pipe of this writing end, as a reader would.
std::string TakeUnread(int fd);

// Asks the kernel for a size. It may refuse (pipe-max-size,
// pipe-user-pages-soft); the pipe is then as before.
void TrySetPipeBytes(int fd, size_t bytes);

// True if nobody has the reading end of this writing end open.
bool LacksReader(int fd);

// True if the last writer has left this reading end, and nothing is unread.
bool IsHungUp(int fd);

// True if all writers that this reading end has had are gone; what they wrote
// may be unread.
bool LacksWriter(int fd);

// Whether any process has the FIFO of this reading end open for writing. It
// opens and closes a writing end itself, which other reading ends may notice.
bool HasWriter(int fd);

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_IO_FIFO_H_
