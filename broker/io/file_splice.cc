#include "broker/io/file_splice.h"

#include <fcntl.h>

#include <cerrno>
#include <vector>

#include "broker/io/fifo.h"
#include "broker/io/posix_disk.h"

namespace fifobus {
namespace {

// Writes what is behind the first `taken` bytes from memory.
SinkResult WriteRest(int fd, absl::Span<const Slice> slices, size_t taken) {
  const size_t skip = SkipWritten(taken, slices);
  if (slices.empty()) return {SinkOutcome::kAll, taken};
  std::vector<Slice> rest(slices.begin(), slices.end());
  rest.front() = {rest.front().bytes + skip, rest.front().size - skip};
  const SinkResult written = WriteFifo(fd, rest);
  return {written.outcome, taken + written.bytes_taken};
}

}  // namespace

SinkResult SpliceFromFile(const StoredSlices& stored, int fd,
                          absl::Span<const Slice> slices) {
  const auto* const file = dynamic_cast<const PosixFile*>(stored.file);
  SinkResult result;
  if (file == nullptr) return WriteRest(fd, slices, 0);
  for (size_t i = 0; i < slices.size(); ++i) {
    auto position = static_cast<loff_t>(stored.positions[i]);
    size_t left = slices[i].size;
    while (left > 0) {
      const ssize_t moved = splice(file->fd(), &position, fd, nullptr, left,
                                   SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
      if (moved < 0 && errno == EINTR) continue;
      if (moved < 0 && (errno == EAGAIN || errno == EPIPE)) {
        result.outcome =
            errno == EAGAIN ? SinkOutcome::kWouldBlock : SinkOutcome::kNoReader;
        return result;
      }
      if (moved <= 0) return WriteRest(fd, slices, result.bytes_taken);
      left -= static_cast<size_t>(moved);
      result.bytes_taken += static_cast<size_t>(moved);
    }
  }
  return result;
}

}  // namespace fifobus
