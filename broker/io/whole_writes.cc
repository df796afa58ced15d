#include "broker/io/whole_writes.h"

#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>

#include "broker/base/unique_fd.h"
#include "broker/io/fifo.h"
#include "fmt/format.h"

namespace fifobus {
namespace {

// One writev(2) of WriteFifo: a second one could begin a page of its own, and
// find no room.
constexpr size_t kSlicesMax = 256;

size_t SureRoom(int fd) {
  const size_t at_once = PIPE_BUF;
  return UnreadBytes(fd) > 0 ? at_once : std::max(at_once, PipeBytes(fd));
}

// The slices at the front that fit together; or those that do not fit even
// alone, where the first is one. One at least.
absl::Span<const Slice> Next(absl::Span<const Slice> slices, size_t room) {
  const bool is_long = slices.front().size > room;
  size_t count = 0;
  size_t bytes = 0;
  while (count < std::min(slices.size(), kSlicesMax)) {
    bytes += slices[count].size;
    if (is_long ? slices[count].size <= room : bytes > room) break;
    ++count;
  }
  return slices.subspan(0, count);
}

}  // namespace

SinkResult WriteWholeSlices(int fd, absl::Span<const Slice> slices) {
  SinkResult result;
  while (!slices.empty()) {
    const absl::Span<const Slice> next = Next(slices, SureRoom(fd));
    const SinkResult written = WriteFifo(fd, next);
    result.bytes_taken += written.bytes_taken;
    result.outcome = written.outcome;
    if (written.outcome != SinkOutcome::kAll) break;
    slices.remove_prefix(next.size());
  }
  return result;
}

std::optional<char> NewestUnreadByte(int fd) {
  // tee(2) takes nothing out of the pipe. It needs a reading end, and as many
  // free pages as there are pages in use.
  const std::string itself = fmt::format("/proc/self/fd/{}", fd);
  const UniqueFd reading(
      open(itself.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  std::array<int, 2> ends;
  if (!reading.valid() || pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0) {
    return std::nullopt;
  }
  const UniqueFd copy(ends[0]);
  const UniqueFd copying(ends[1]);
  TrySetPipeBytes(copying.get(), PipeBytes(fd));
  const size_t unread = UnreadBytes(fd);
  if (unread == 0 || PipeBytes(copying.get()) < PipeBytes(fd)) {
    return std::nullopt;
  }
  (void)tee(reading.get(), copying.get(), unread, SPLICE_F_NONBLOCK);
  std::optional<char> newest;
  std::array<char, 4096> bytes;
  while (true) {
    const ReadResult read = ReadFifo(copy.get(), bytes.data(), bytes.size());
    if (read.outcome != ReadOutcome::kBytes) return newest;
    newest = bytes[read.bytes - 1];
  }
}

}  // namespace fifobus
