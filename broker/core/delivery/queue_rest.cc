#include "broker/core/delivery/queue_rest.h"

#include <cstring>
#include <utility>

#include "proto/expiry.h"

namespace fifobus {
namespace {

void QueueCopy(QueuedAs as, absl::Span<const Slice> slices, size_t written,
               EgressQueue& queue) {
  const ChunkRef copies = Chunk::Make(TotalBytes(slices));
  char* end = copies->bytes();
  Slice copy{end, 0, /*expiry_unix_nanos=*/0, /*messages=*/0};
  for (const Slice& slice : slices) {
    std::memcpy(end, slice.bytes, slice.size);
    end += slice.size;
    copy.size += slice.size;
    copy.messages += slice.messages;
    copy.expiry_unix_nanos =
        EarlierExpiry(copy.expiry_unix_nanos, slice.expiry_unix_nanos);
    // Frames lie beside each other now: they are one entry.
    if (as == QueuedAs::kFrames && &slice != &slices.back()) continue;
    queue.Push(as, copies, copy, std::exchange(written, 0));
    copy = {end, 0, 0, 0};
  }
}

}  // namespace

void QueueRest(QueuedAs as, const ChunkRef& chunk,
               absl::Span<const Slice> slices, size_t written,
               size_t copied_bytes_max, EgressQueue& queue) {
  if (TotalBytes(slices) <= copied_bytes_max) {
    QueueCopy(as, slices, written, queue);
    return;
  }
  for (const Slice& slice : slices) {
    queue.Push(as, chunk, slice, std::exchange(written, 0));
  }
}

}  // namespace fifobus
