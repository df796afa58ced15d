#ifndef FIFOBUS_BROKER_SEAM_SINK_H_
#define FIFOBUS_BROKER_SEAM_SINK_H_

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"

// The seam between the two halves of the broker, downwards: the core decides
// what a subscriber gets and in which order; a sink carries bytes to it. The
// core never sees a file descriptor, a sink never sees a topic. feed.h is the
// seam upwards.
namespace fifobus {

class DiskFile;  // of disk.h

// A range of a chunk's bytes. Whoever passes slices keeps the chunk alive.
struct Slice {
  const char* bytes = nullptr;
  size_t size = 0;
  // When the first of its messages expires; 0: none does. Sinks do not look.
  uint64_t expiry_unix_nanos = 0;
  uint32_t messages = 1;
};

inline size_t TotalBytes(absl::Span<const Slice> slices) {
  size_t bytes = 0;
  for (const Slice& slice : slices) bytes += slice.size;
  return bytes;
}

// Removes the slices whose bytes all lie in the first `written` bytes. Returns
// how many bytes of the slice that is then the first have been written.
inline size_t SkipWritten(size_t written, absl::Span<const Slice>& slices) {
  while (!slices.empty() && written >= slices.front().size) {
    written -= slices.front().size;
    slices.remove_prefix(1);
  }
  return written;
}

// Where slices lie on a disk as well: each at its position of the file.
struct StoredSlices {
  const DiskFile* file = nullptr;
  absl::Span<const uint64_t> positions;
};

enum class SinkOutcome {
  kAll,         // everything was taken
  kWouldBlock,  // a part was; OnWritable follows when there is room again
  kNoReader,    // a part was; nobody reads the rest now
};

struct [[nodiscard]] SinkResult {
  SinkOutcome outcome = SinkOutcome::kAll;
  size_t bytes_taken = 0;
};

// Told of a sink's events. Worker-affine: on the thread of the worker that owns
// the sink.
class SinkObserver {
 public:
  virtual ~SinkObserver() = default;
  // There may be room again. May come without need.
  virtual void OnWritable() = 0;
  // The stall timeout has passed since StartStallClock.
  virtual void OnStallTimeout() = 0;
};

// The same bytes for several sinks, held where each may take them without
// copying them from memory once more. What it is only the sinks know.
struct Staged;

// Where bytes are staged. Worker-affine.
class Staging {
 public:
  virtual ~Staging() = default;

  // Stages the slices' bytes, or as much of their front as fits; null: nothing.
  // Valid until Unload, which must come before the next Load.
  virtual const Staged* Load(absl::Span<const Slice> slices) = 0;
  virtual void Unload() = 0;
};

// One subscriber's way out: a pipe, or a fake in tests.
//
// Thread-compatible: any worker calls Write, but one at a time, under the lock
// of the sink's only caller, an Egress. Nothing here calls back into the Egress
// before it returns.
class Sink {
 public:
  virtual ~Sink() = default;

  // Writes the slices in order, as much as there is room for, without waiting.
  // After kWouldBlock the observer's OnWritable is certain to follow once the
  // reader has made room, whichever thread wrote. `staged`, if not null, holds
  // the front of the same bytes.
  virtual SinkResult Write(absl::Span<const Slice> slices,
                           const Staged* staged) = 0;

  // The same of bytes that a log has checked a moment ago. A sink that can
  // takes them from the file instead of copying them from memory.
  virtual SinkResult WriteStored(absl::Span<const Slice> slices,
                                 const StoredSlices& stored) {
    (void)stored;
    return Write(slices, nullptr);
  }

  // Has OnStallTimeout called once, after the stall timeout. Thread-safe;
  // called without the Egress's lock, and also when the sink is closed already.
  virtual void StartStallClock() = 0;

  // What lies behind the sink: of a pipe its size and what is unread in it.
  struct Status {
    size_t pipe_bytes = 0;
    size_t unread_bytes = 0;
  };
  virtual Status status() const { return {}; }

  // The subscriber is to be ended, as if it had gone. Called like
  // StartStallClock.
  virtual void RequestEnd() = 0;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_SEAM_SINK_H_
