#include "broker/io/staging_pipe.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "broker/base/check.h"
#include "broker/io/fifo.h"

namespace fifobus {
namespace {

// Duplicates the front of a pipe into another, as far as there is room.
SinkResult Tee(const Staged& staged, int fd) {
  while (true) {
    const ssize_t bytes = tee(staged.fd, fd, staged.bytes, SPLICE_F_NONBLOCK);
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0) {
      FIFOBUS_CHECK(errno == EAGAIN || errno == EPIPE);
      return {
          errno == EAGAIN ? SinkOutcome::kWouldBlock : SinkOutcome::kNoReader,
          0};
    }
    // A short count means that `fd` has no free slot. EPOLLOUT reports the next
    // free one, as after a short write: fs/splice.c, link_pipe.
    const size_t taken = static_cast<size_t>(bytes);
    return {
        taken == staged.bytes ? SinkOutcome::kAll : SinkOutcome::kWouldBlock,
        taken};
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<StagingPipe>> StagingPipe::Create(
    PipeGrowth* growth) {
  auto staging = std::unique_ptr<StagingPipe>(new StagingPipe(growth));
  int ends[2] = {-1, -1};
  if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0) {
    return absl::ErrnoToStatus(errno, "pipe2");
  }
  staging->reading_.Reset(ends[0]);
  staging->writing_.Reset(ends[1]);
  staging->nowhere_.Reset(open("/dev/null", O_WRONLY | O_CLOEXEC));
  if (!staging->nowhere_.valid()) {
    return absl::ErrnoToStatus(errno, "open /dev/null");
  }
  return staging;
}

const Staged* StagingPipe::Load(absl::Span<const Slice> slices) {
  FIFOBUS_CHECK(staged_.bytes == 0);
  const size_t total = TotalBytes(slices);
  staged_ = {reading_.get(), WriteFifo(writing_.get(), slices).bytes_taken};
  if (staged_.bytes < total) growing_.OnFull(writing_.get(), total);
  if (2 * staged_.bytes >= total) return &staged_;
  // Each subscriber would cost two system calls and most of the copying.
  Unload();
  return nullptr;
}

void StagingPipe::Unload() {
  while (staged_.bytes > 0) {
    const ssize_t bytes = splice(reading_.get(), nullptr, nowhere_.get(),
                                 nullptr, staged_.bytes, SPLICE_F_NONBLOCK);
    if (bytes < 0 && errno == EINTR) continue;
    FIFOBUS_CHECK(bytes > 0);
    staged_.bytes -= static_cast<size_t>(bytes);
  }
}

SinkResult WriteStaged(const Staged& staged, int fd,
                       absl::Span<const Slice> slices) {
  const SinkResult front = Tee(staged, fd);
  if (front.outcome != SinkOutcome::kAll) return front;
  const size_t skip = SkipWritten(front.bytes_taken, slices);
  if (slices.empty()) return front;
  // What the staging pipe had no room for.
  std::vector<Slice> rest(slices.begin(), slices.end());
  rest.front() = {rest.front().bytes + skip, rest.front().size - skip};
  const SinkResult written = WriteFifo(fd, rest);
  return {written.outcome, front.bytes_taken + written.bytes_taken};
}

}  // namespace fifobus
