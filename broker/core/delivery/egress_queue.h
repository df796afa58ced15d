#ifndef FIFOBUS_BROKER_CORE_DELIVERY_EGRESS_QUEUE_H_
#define FIFOBUS_BROKER_CORE_DELIVERY_EGRESS_QUEUE_H_

#include <cstddef>
#include <cstdint>
#include <numeric>
#include <string_view>

#include "absl/types/span.h"
#include "broker/core/delivery/gap_ledger.h"
#include "broker/core/delivery/held_chunks.h"
#include "broker/core/delivery/message_unit.h"
#include "broker/core/delivery/queue_entry.h"
#include "broker/rules/overflow_policy.h"
#include "broker/seam/chunk.h"
#include "broker/seam/sink.h"

namespace fifobus {

// What a subscriber has not taken yet: references to chunks, not messages. The
// frames inside an entry are looked for only when something must be dropped.
//
// Not a policy: it drops when told to. Thread-compatible; owned by an Egress
// under its lock.
//
// Invariants: (1) bytes() is what is still to be written. (2) A message of
// which a byte has been written is never dropped. (3) Where messages were lost
// lies a gap, which is announced between what was before and behind them, if
// the queue announces gaps. No two gaps are neighbours. (4) After Compact the
// memory that it keeps alive is at most half as much again as the messages in
// it, and a fixed amount for each gap, control entry and rendered message.
class EgressQueue {
 public:
  enum class Gaps { kFrames, kJsonLines, kOnlyCounted };
  // `frame_bytes_max` bounds the bodies of its Gap frames.
  explicit EgressQueue(Gaps gaps, size_t frame_bytes_max = SIZE_MAX)
      : gaps_(gaps), frame_bytes_max_(frame_bytes_max) {}

  bool empty() const { return entries_.empty(); }
  size_t bytes() const { return bytes_; }
  // Not more than this many: those of which a part of their slice is written
  // are counted until Recount.
  size_t messages() const { return messages_; }
  // Takes what is written by now out of the count of messages.
  void Recount() { AlignFront(); }
  size_t control_bytes() const { return control_bytes_; }
  // The same with what the entries take.
  size_t control_weight() const {
    return control_bytes_ + control_entries_ * kEntryBytes;
  }
  // All that were lost, whether a gap announces them or not.
  uint64_t dropped() const {
    return std::accumulate(dropped_.begin(), dropped_.end(), uint64_t{0});
  }
  const LossCounts& dropped_by_reason() const { return dropped_; }

  // Whether it is above the limits. If only its messages are, they are
  // recounted first.
  bool RecountExceeds(const QueueLimits& limits);
  bool IsBelowHalf(const QueueLimits& limits) const;

  // The memory that it keeps alive, roughly.
  size_t held_bytes() const;
  // Copies messages together out of chunks of which little else is queued, if
  // the queue holds much more than its messages need. A byte is copied once for
  // each time that at least as much was pushed or dropped.
  void CompactIfWorthwhile(const QueueLimits& limits);

  // Adds `slice` of `chunk`, of which the first `written` bytes have been
  // written already. REQUIRES: written < slice.size; written is 0 unless the
  // queue is empty.
  void Push(QueuedAs as, ChunkRef chunk, const Slice& slice, size_t written);

  // Adds a copy of frames of the broker's own. REQUIRES: as Push.
  void PushControl(std::string_view frames, size_t written);

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
  friend class QueueTransfer;

  // What an entry and the small chunk of one take from the allocator.
  static constexpr size_t kEntryBytes = sizeof(QueueEntry) + sizeof(Chunk) + 16;

  // What counts against limits.bytes_max: the bytes, and of what gaps and
  // rendered messages take beside them all but the first 64 KiB.
  size_t Weight() const;

  // Moves the front entry's beginning to the message that is partly written.
  void AlignFront();
  // Makes the partly written message an entry of its own. Returns the index of
  // the first entry that is not begun.
  size_t SplitFront();
  // The entry at the front is a gap: replaces it by what announces it.
  void RenderFrontGap();
  // Every change of an entry is between an Uncount and a Count.
  void Count(const QueueEntry& entry);
  void Uncount(const QueueEntry& entry);
  void EraseEntry(size_t index);
  // Removes the first message of the entry; the entry if it was the last.
  // Returns where the entry, or the one behind it, lies now.
  size_t LoseFirstMessage(size_t index, LossReason reason);
  bool IsNewestMessage(size_t index) const;
  void CountLoss(LossReason reason, uint64_t messages) {
    dropped_[static_cast<size_t>(reason)] += messages;
  }
  // Adds to the gap at the end, which is made if there is none.
  template <typename... Loss>
  void AddToLastGap(const Loss&... loss);
  template <typename... Loss>
  void AddToGap(QueueEntry& entry, const Loss&... loss);
  void AppendEntry(QueueEntry entry);
  // Puts one message of `from` at the end, joined with the one before it where
  // they are neighbours.
  void AppendUnit(const QueueEntry& from, const MessageUnit& unit);
  // Whether the entry was joined with the one at the end.
  bool JoinLast(const QueueEntry& entry);
  // Hands out all entries and begins anew.
  QueueEntries ReleaseEntries();
  // Goes over all messages that are not begun and drops those of which
  // is_lost(entry, unit) says so. `gap_at` says where that is announced.
  enum class GapAt { kEachLoss, kFirstLoss };
  template <typename IsLost>
  uint64_t DropIf(LossReason reason, GapAt gap_at, const IsLost& is_lost);

  const Gaps gaps_;
  const size_t frame_bytes_max_;
  QueueEntries entries_;
  size_t bytes_ = 0;
  size_t messages_ = 0;
  size_t control_bytes_ = 0;
  size_t control_entries_ = 0;
  size_t frames_entries_ = 0;
  size_t expiring_entries_ = 0;
  size_t gap_bytes_ = 0;        // that gaps take in memory
  size_t compacted_bytes_ = 0;  // held at most, since it was last compacted
  HeldChunks held_;
  LossCounts dropped_ = {};
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_DELIVERY_EGRESS_QUEUE_H_
