#include "broker/io/fifo.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "broker/base/check.h"
#include "broker/io/open_beneath.h"
#include "fmt/format.h"

namespace fifobus {
namespace {

FifoOpening Failed(FifoOpenOutcome outcome, std::string refusal = "") {
  return {outcome, UniqueFd(), std::move(refusal)};
}

FifoOpening FailedToOpen(int error) {
  switch (error) {
    case ENXIO:
      return Failed(FifoOpenOutcome::kNoReader);
    case ENOENT:
      return Failed(FifoOpenOutcome::kGone);
    case EMFILE:
    case ENFILE:
      return Failed(FifoOpenOutcome::kNoDescriptors);
    case ELOOP:
      return Failed(FifoOpenOutcome::kRefused, "it is a symbolic link");
    default:
      return Failed(FifoOpenOutcome::kRefused, std::strerror(error));
  }
}

// What is wrong with an opened file; empty: nothing.
std::string Inspect(int fd, const FifoTrust& trust) {
  struct stat status;
  FIFOBUS_CHECK(fstat(fd, &status) == 0);
  if (!S_ISFIFO(status.st_mode)) return "it is not a FIFO";
  if (status.st_nlink > 1) return "it has several names";
  if (status.st_uid != trust.owner && status.st_uid != 0) {
    return fmt::format("it belongs to user {}", status.st_uid);
  }
  return "";
}

FifoOpening OpenFifo(int dir_fd, const std::string& path, uint64_t access,
                     const FifoTrust& trust) {
  FifoOpening opening = {FifoOpenOutcome::kOpened,
                         OpenBeneath(dir_fd, path, access | O_NONBLOCK), ""};
  if (!opening.fd.valid()) return FailedToOpen(errno);
  opening.refusal = Inspect(opening.fd.get(), trust);
  if (!opening.refusal.empty()) {
    opening.outcome = FifoOpenOutcome::kRefused;
    opening.fd.Reset();
  }
  return opening;
}

bool SameFile(int a, int b) {
  struct stat status_a;
  struct stat status_b;
  return fstat(a, &status_a) == 0 && fstat(b, &status_b) == 0 &&
         status_a.st_ino == status_b.st_ino &&
         status_a.st_dev == status_b.st_dev;
}

// Another open file of the same FIFO, whatever its name.
UniqueFd Reopen(int fd, int access) {
  const std::string itself = fmt::format("/proc/self/fd/{}", fd);
  return UniqueFd(open(itself.c_str(), access | O_NONBLOCK | O_CLOEXEC));
}

}  // namespace

FifoOpening OpenFifoForReading(int dir_fd, const std::string& path,
                               const FifoTrust& trust) {
  return OpenFifo(dir_fd, path, O_RDONLY, trust);
}

FifoOpening OpenFifoForWriting(int dir_fd, const std::string& path,
                               const FifoTrust& trust) {
  return OpenFifo(dir_fd, path, O_WRONLY, trust);
}

FifoOpening OpenFifoToHold(int dir_fd, const std::string& path,
                           const FifoTrust& trust) {
  const FifoOpening both = OpenFifo(dir_fd, path, O_RDWR, trust);
  if (both.outcome != FifoOpenOutcome::kOpened) {
    return Failed(both.outcome, both.refusal);
  }
  FifoOpening writing = OpenFifo(dir_fd, path, O_WRONLY, trust);
  if (writing.outcome == FifoOpenOutcome::kOpened &&
      !SameFile(both.fd.get(), writing.fd.get())) {
    return Failed(FifoOpenOutcome::kGone);  // replaced meanwhile
  }
  return writing;
}

absl::Status SetFifoMode(int dir_fd, const std::string& path, mode_t mode) {
  const UniqueFd fd = OpenBeneath(dir_fd, path, O_PATH);
  if (!fd.valid()) return absl::ErrnoToStatus(errno, path);
  struct stat status;
  FIFOBUS_CHECK(fstat(fd.get(), &status) == 0);
  if (!S_ISFIFO(status.st_mode)) {
    return absl::FailedPreconditionError(path + " is not a FIFO");
  }
  // Such a descriptor cannot be passed to fchmod(2).
  const std::string itself = fmt::format("/proc/self/fd/{}", fd.get());
  if (chmod(itself.c_str(), mode) != 0) return absl::ErrnoToStatus(errno, path);
  return absl::OkStatus();
}

uid_t FifoOwner(int fd) {
  struct stat status;
  FIFOBUS_CHECK(fstat(fd, &status) == 0);
  return status.st_uid;
}

ReadResult ReadFifo(int fd, char* buffer, size_t size) {
  while (true) {
    const ssize_t bytes = read(fd, buffer, size);
    if (bytes > 0) return {ReadOutcome::kBytes, static_cast<size_t>(bytes)};
    if (bytes == 0) return {ReadOutcome::kNoWriter, 0};
    if (errno == EINTR) continue;
    FIFOBUS_CHECK(errno == EAGAIN);
    return {ReadOutcome::kEmpty, 0};
  }
}

SinkResult WriteFifo(int fd, absl::Span<const Slice> slices) {
  SinkResult result;
  size_t skip = 0;  // bytes of the first slice that are written
  while (!slices.empty()) {
    std::array<iovec, 256> parts;
    const size_t count = std::min(slices.size(), parts.size());
    for (size_t i = 0; i < count; ++i) {
      parts[i] = {const_cast<char*>(slices[i].bytes), slices[i].size};
    }
    parts[0].iov_base = static_cast<char*>(parts[0].iov_base) + skip;
    parts[0].iov_len -= skip;
    // write(2) costs less, which a lone message notices: bench/DECISIONS.md.
    const ssize_t written =
        count == 1 ? write(fd, parts[0].iov_base, parts[0].iov_len)
                   : writev(fd, parts.data(), static_cast<int>(count));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      FIFOBUS_CHECK(errno == EAGAIN || errno == EPIPE);
      result.outcome =
          errno == EAGAIN ? SinkOutcome::kWouldBlock : SinkOutcome::kNoReader;
      return result;
    }
    result.bytes_taken += static_cast<size_t>(written);
    skip = SkipWritten(skip + static_cast<size_t>(written), slices);
  }
  return result;
}

size_t UnreadBytes(int fd) {
  int bytes = 0;
  FIFOBUS_CHECK(ioctl(fd, FIONREAD, &bytes) == 0);
  return static_cast<size_t>(bytes);
}

size_t PipeBytes(int fd) {
  const int bytes = fcntl(fd, F_GETPIPE_SZ);
  FIFOBUS_CHECK(bytes > 0);
  return static_cast<size_t>(bytes);
}

std::string TakeUnread(int fd) {
  const UniqueFd reading = Reopen(fd, O_RDONLY);
  std::string bytes(UnreadBytes(fd), '\0');
  size_t filled = 0;
  while (filled < bytes.size() && reading.valid()) {
    const ReadResult read =
        ReadFifo(reading.get(), bytes.data() + filled, bytes.size() - filled);
    if (read.outcome != ReadOutcome::kBytes) break;
    filled += read.bytes;
  }
  bytes.resize(filled);
  return bytes;
}

void TrySetPipeBytes(int fd, size_t bytes) {
  (void)fcntl(fd, F_SETPIPE_SZ, static_cast<int>(bytes));
}

bool LacksReader(int fd) {
  pollfd poll_fd = {fd, 0, 0};
  return poll(&poll_fd, 1, 0) == 1 && (poll_fd.revents & POLLERR) != 0;
}

bool LacksWriter(int fd) {
  pollfd poll_fd = {fd, 0, 0};
  return poll(&poll_fd, 1, 0) == 1 && (poll_fd.revents & POLLHUP) != 0;
}

bool HasWriter(int fd) {
  // A reading end that never had a writer reports no hang-up: fs/pipe.c,
  // fifo_open.
  Reopen(fd, O_WRONLY).Reset();
  return !LacksWriter(fd);
}

bool IsHungUp(int fd) {
  pollfd poll_fd = {fd, POLLIN, 0};
  return poll(&poll_fd, 1, 0) == 1 && poll_fd.revents == POLLHUP;
}

}  // namespace fifobus
