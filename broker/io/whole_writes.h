#ifndef FIFOBUS_BROKER_IO_WHOLE_WRITES_H_
#define FIFOBUS_BROKER_IO_WHOLE_WRITES_H_

#include <optional>

#include "absl/types/span.h"
#include "broker/seam/sink.h"

// Writing lines so that a kill between two system calls leaves no part of one
// in the pipe. Thread-safe.
namespace fifobus {

// As WriteFifo, but it writes so many slices at once as surely fit: up to
// PIPE_BUF bytes, which are written whole or not at all (pipe(7)), or up to the
// size of the pipe, where that is empty. So a slice of at most PIPE_BUF bytes
// is never cut. A longer one may be. REQUIRES: nobody else writes to the pipe,
// and as WriteFifo.
SinkResult WriteWholeSlices(int fd, absl::Span<const Slice> slices);

// The newest unread byte of the pipe of this writing end; nothing if all is
// read, or it cannot be told.
std::optional<char> NewestUnreadByte(int fd);

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_IO_WHOLE_WRITES_H_
