#ifndef FIFOBUS_BROKER_CORE_EGRESS_QUEUE_H_
#define FIFOBUS_BROKER_CORE_EGRESS_QUEUE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string_view>

#include "absl/types/span.h"
#include "broker/base/chunk.h"
#include "broker/core/gap_ledger.h"
#include "broker/core/sink.h"

namespace fifobus {

// What the bytes of a queue's entry are, and so where they may be cut.
enum class QueuedAs : uint8_t {
  kFrames,   // whole Message frames, each of which may be dropped
  kUnit,     // one message as a tap shows it; dropped whole
  kControl,  // one frame of the broker's own; never dropped
};

// What a subscriber has not taken yet: references to chunks, not messages. The
// frames inside an entry are looked for only when something must be dropped.
//
// Not a policy: it drops when told to. Thread-compatible; owned by an Egress
// under its lock.
//
// Invariants: (1) bytes() is what is still to be written. (2) A message of
// which a byte has been written is never dropped. (3) What was dropped is
// announced by one Gap frame before anything that follows it, if the queue
// announces gaps.
class EgressQueue {
 public:
  enum class Gaps { kAnnounced, kOnlyCounted };
  explicit EgressQueue(Gaps gaps) : gaps_(gaps) {}

  bool empty() const { return entries_.empty() && gap_.empty(); }
  size_t bytes() const { return bytes_; }
  size_t control_bytes() const { return control_bytes_; }
  uint64_t dropped() const { return dropped_; }

  // Adds `slice` of `chunk`, of which the first `written` bytes have been
  // written already. REQUIRES: written < slice.size; written is 0 unless the
  // queue is empty.
  void Push(QueuedAs as, ChunkRef chunk, Slice slice, size_t written);

  // Fills in what to write next, in order, and returns how many slices. They
  // stay valid until the next call.
  size_t Peek(absl::Span<Slice> slices);

  // Removes that many bytes from the front: they have been written.
  // REQUIRES: they were in the result of the last Peek.
  void Consume(size_t bytes);

  // Drops the oldest messages until bytes() <= bytes_max or only the newest is
  // left, so that an empty queue takes a message of any size. Returns how many.
  uint64_t DropOldest(size_t bytes_max);

  // Forgets everything: the subscriber is gone.
  void Clear();

 private:
  struct Entry {
    QueuedAs as;
    ChunkRef chunk;
    // From a message's first byte on...
    std::string_view bytes;
    // ...of which this many have been written.
    size_t written = 0;

    size_t rest() const { return bytes.size() - written; }
  };

  // Moves the front entry's beginning to the message that is partly written.
  void AlignFront();
  // Makes the partly written message an entry of its own. Returns the index of
  // the first entry that is not begun.
  size_t SplitFront();
  void InsertGapFrame();
  void EraseEntry(size_t index);
  // Removes the first message of the entry; the entry if it was the last.
  void DropFirstMessage(size_t index);
  bool IsNewestMessage(size_t index) const;

  const Gaps gaps_;
  std::deque<Entry> entries_;
  GapLedger gap_;
  size_t bytes_ = 0;
  size_t control_bytes_ = 0;
  uint64_t dropped_ = 0;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_EGRESS_QUEUE_H_
