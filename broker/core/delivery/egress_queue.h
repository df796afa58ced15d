#ifndef FIFOBUS_BROKER_CORE_DELIVERY_EGRESS_QUEUE_H_
#define FIFOBUS_BROKER_CORE_DELIVERY_EGRESS_QUEUE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <numeric>
#include <string_view>

#include "absl/types/span.h"
#include "broker/core/delivery/gap_ledger.h"
#include "broker/core/delivery/message_unit.h"
#include "broker/rules/overflow_policy.h"
#include "broker/seam/chunk.h"
#include "broker/seam/sink.h"

namespace fifobus {

// What the bytes of a queue's entry are, and so where they may be cut.
enum class QueuedAs : uint8_t {
  kFrames,   // whole MessageUnits, each of which may be dropped
  kUnit,     // one message as a tap shows it; dropped whole
  kControl,  // frames of the broker's own; never dropped
};

// What a subscriber has not taken yet: references to chunks, not messages. The
// frames inside an entry are looked for only when something must be dropped.
//
// Not a policy: it drops when told to. Thread-compatible; owned by an Egress
// under its lock.
//
// Invariants: (1) bytes() is what is still to be written. (2) A message of
// which a byte has been written is never dropped. (3) Where messages were lost
// lies a gap, which is announced between what was before and behind them, if
// the queue announces gaps. No two gaps are neighbours.
class EgressQueue {
 public:
  enum class Gaps { kFrames, kJsonLines, kOnlyCounted };
  explicit EgressQueue(Gaps gaps) : gaps_(gaps) {}

  bool empty() const { return entries_.empty(); }
  size_t bytes() const { return bytes_; }
  // An upper bound: messages in a slice of which a part is written are counted
  // until the exact number is needed.
  size_t messages() const { return messages_; }
  size_t control_bytes() const { return control_bytes_; }
  // All that were lost, whether a gap announces them or not.
  uint64_t dropped() const {
    return std::accumulate(dropped_.begin(), dropped_.end(), uint64_t{0});
  }
  const LossCounts& dropped_by_reason() const { return dropped_; }

  // Whether it is above the limits. If only its messages are, those of its
  // first slice that are written by now are taken out of the count first.
  bool RecountExceeds(const QueueLimits& limits);
  bool IsBelowHalf(const QueueLimits& limits) const;

  // Adds `slice` of `chunk`, of which the first `written` bytes have been
  // written already. REQUIRES: written < slice.size; written is 0 unless the
  // queue is empty.
  void Push(QueuedAs as, ChunkRef chunk, const Slice& slice, size_t written);

  // A message is lost at the end of the queue: it was not let in.
  void PushLoss(LossReason reason, std::string_view topic);
  // The same for all messages of a slice that Push would take.
  void PushLosses(QueuedAs as, const Slice& slice, LossReason reason);

  // Fills `slices` with what to write next, in order, and returns their number.
  // They stay valid until the next call.
  size_t Peek(absl::Span<Slice> slices);

  // Removes that many bytes from the front: they have been written.
  // REQUIRES: they were in the result of the last Peek.
  void Consume(size_t bytes);

  // All of these return how many messages were lost.

  // Drops the oldest messages until the limits are kept or only the newest is
  // left, so that an empty queue takes a message of any size.
  uint64_t DropOldest(const QueueLimits& limits);
  // Drops all but the newest of each topic. One gap, at the first that was
  // lost, announces them: gaps of their own would outweigh what is left.
  // REQUIRES: a queue of frames.
  uint64_t Conflate();
  // Drops what has expired by `now`.
  uint64_t DropExpired(uint64_t now_unix_nanos);
  bool MayExpire() const { return expiring_entries_ > 0; }
  // Drops everything.
  uint64_t DropAll(LossReason reason);

  // Forgets everything: the subscriber is gone. Returns how many messages were
  // in it, without those that were begun.
  uint64_t Clear();

 private:
  struct Entry {
    QueuedAs as = QueuedAs::kFrames;
    ChunkRef chunk;
    // From a message's first byte on...
    std::string_view bytes;
    // ...of which this many have been written.
    size_t written = 0;
    size_t messages = 0;
    uint64_t expiry_unix_nanos = 0;  // as in Slice
    // Not null: a gap, and nothing of the above.
    std::unique_ptr<GapLedger> gap;

    size_t rest() const { return bytes.size() - written; }
    bool is_message() const { return !gap && as != QueuedAs::kControl; }
  };
  using Entries = std::deque<Entry>;

  // Moves the front entry's beginning to the message that is partly written.
  void AlignFront();
  // Makes the partly written message an entry of its own. Returns the index of
  // the first entry that is not begun.
  size_t SplitFront();
  // The entry at the front is a gap: replaces it by what announces it.
  void RenderFrontGap();
  void Count(const Entry& entry);
  void Uncount(const Entry& entry);
  void EraseEntry(size_t index);
  // Removes the first message of the entry; the entry if it was the last.
  // Returns where the entry, or the one behind it, lies now.
  size_t LoseFirstMessage(size_t index, LossReason reason);
  bool IsNewestMessage(size_t index) const;
  void CountLoss(LossReason reason, uint64_t messages) {
    dropped_[static_cast<size_t>(reason)] += messages;
  }
  // The gap at the end, made if there is none.
  GapLedger& LastGap();
  void AppendEntry(Entry entry);
  // Puts one message of `from` at the end, joined with the one before it where
  // they are neighbours.
  void AppendUnit(const Entry& from, const MessageUnit& unit);
  // Goes over all messages that are not begun and drops those of which
  // is_lost(entry, unit) says so. `gap_at` says where that is announced.
  enum class GapAt { kEachLoss, kFirstLoss };
  template <typename IsLost>
  uint64_t DropIf(LossReason reason, GapAt gap_at, const IsLost& is_lost);

  const Gaps gaps_;
  Entries entries_;
  size_t bytes_ = 0;
  size_t messages_ = 0;
  size_t control_bytes_ = 0;
  size_t expiring_entries_ = 0;
  LossCounts dropped_ = {};
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_DELIVERY_EGRESS_QUEUE_H_
