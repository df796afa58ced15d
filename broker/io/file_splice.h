#ifndef FIFOBUS_BROKER_IO_FILE_SPLICE_H_
#define FIFOBUS_BROKER_IO_FILE_SPLICE_H_

#include "absl/types/span.h"
#include "broker/seam/sink.h"

namespace fifobus {

// Moves the slices' bytes from their file to the FIFO `fd`, as many as fit,
// without copying them: the pipe gets the pages of the page cache (splice(2)).
// What cannot be moved so, because the file system has no splice or the file is
// no real one, is written from memory. Thread-safe (no state).
SinkResult SpliceFromFile(const StoredSlices& stored, int fd,
                          absl::Span<const Slice> slices);

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_IO_FILE_SPLICE_H_
