#ifndef FIFOBUS_BROKER_CORE_DELIVERY_QUEUE_ENTRY_H_
#define FIFOBUS_BROKER_CORE_DELIVERY_QUEUE_ENTRY_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string_view>

#include "broker/core/delivery/gap_ledger.h"
#include "broker/seam/chunk.h"

namespace fifobus {

// What the bytes of a queue's entry are, and so where they may be cut.
enum class QueuedAs : uint8_t {
  kFrames,   // whole MessageUnits, each of which may be dropped
  kUnit,     // one message as a tap shows it; dropped whole
  kControl,  // frames of the broker's own; never dropped
};

// A part of one chunk that waits in an EgressQueue, or a gap. Thread-compatible
// (plain data).
struct QueueEntry {
  ChunkRef chunk;
  // From a message's first byte on...
  std::string_view bytes;
  // ...of which this many have been written.
  size_t written = 0;
  size_t messages = 0;
  uint64_t expiry_unix_nanos = 0;  // as in Slice
  // Not null: a gap, and nothing else of this.
  std::unique_ptr<GapLedger> gap;
  QueuedAs as = QueuedAs::kFrames;

  size_t rest() const { return bytes.size() - written; }
  bool is_message() const { return !gap && as != QueuedAs::kControl; }
  bool is_frames() const { return !gap && as == QueuedAs::kFrames; }
  bool is_control() const { return !gap && as == QueuedAs::kControl; }
};

using QueueEntries = std::deque<QueueEntry>;

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_DELIVERY_QUEUE_ENTRY_H_
