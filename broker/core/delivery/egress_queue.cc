#include "broker/core/delivery/egress_queue.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "broker/base/check.h"
#include "broker/core/delivery/queue_compaction.h"
#include "proto/expiry.h"

namespace fifobus {
namespace {

// Gaps and rendered messages take memory beside their bytes, which counts
// against the queue's limit. This much does not, so that a small limit is one of
// bytes: one gap of 64 topics with the longest names. Not tuned.
constexpr size_t kFreeOverheadBytes = size_t{64} << 10;

}  // namespace

bool EgressQueue::RecountExceeds(const QueueLimits& limits) {
  if (Weight() > limits.bytes_max) return true;
  if (limits.messages_max == 0 || messages_ <= limits.messages_max) {
    return false;
  }
  AlignFront();
  return messages_ > limits.messages_max;
}

bool EgressQueue::IsBelowHalf(const QueueLimits& limits) const {
  if (entries_.empty()) return true;
  return Weight() < limits.bytes_max / 2 &&
         (limits.messages_max == 0 || messages_ <= limits.messages_max / 2);
}

size_t EgressQueue::Weight() const {
  const size_t others = entries_.size() - frames_entries_ - control_entries_;
  const size_t overhead = gap_bytes_ + others * sizeof(QueueEntry);
  return bytes_ + overhead - std::min(overhead, kFreeOverheadBytes);
}

size_t EgressQueue::held_bytes() const {
  return held_.bytes() + entries_.size() * sizeof(QueueEntry) + gap_bytes_;
}

void EgressQueue::CompactIfWorthwhile(const QueueLimits& limits) {
  const size_t held = held_bytes();
  compacted_bytes_ = std::min(compacted_bytes_, held);
  const size_t slack =
      std::max(limits.bytes_max / 2, QueueCompaction::kChunkBytes);
  const size_t used = bytes_ + (empty() ? 0 : entries_.front().written);
  const size_t others = entries_.size() - frames_entries_;
  const size_t needed =
      used + used / 2 + others * kEntryBytes + gap_bytes_ + slack;
  // The second: what has just been made small is not worth another look.
  if (held <= needed || held - compacted_bytes_ < slack / 2) return;
  AlignFront();
  QueueCompaction compaction(entries_);
  for (QueueEntry& entry : ReleaseEntries()) {
    if (entry.is_message() && compaction.IsSparse(entry)) {
      compaction.Copy(entry);
    }
    if (!JoinLast(entry)) AppendEntry(std::move(entry));
  }
  compacted_bytes_ = held_bytes();
}

void EgressQueue::Push(QueuedAs as, ChunkRef chunk, const Slice& slice,
                       size_t written) {
  FIFOBUS_CHECK(written < slice.size);
  FIFOBUS_CHECK(written == 0 || empty());
  QueueEntry& entry = entries_.emplace_back();
  entry.as = as;
  entry.chunk = std::move(chunk);
  entry.bytes = std::string_view(slice.bytes, slice.size);
  entry.written = written;
  entry.messages = as == QueuedAs::kControl ? 0 : slice.messages;
  entry.expiry_unix_nanos = slice.expiry_unix_nanos;
  Count(entry);
}

void EgressQueue::PushControl(std::string_view frames, size_t written) {
  if (entries_.empty() || !entries_.back().is_control()) {
    ChunkRef chunk = Chunk::CopyOf(frames);
    const Slice slice{chunk->bytes(), frames.size()};
    Push(QueuedAs::kControl, std::move(chunk), slice, written);
    return;
  }
  QueueEntry& last = entries_.back();
  const size_t size = last.bytes.size();
  const size_t joined_size = size + frames.size();
  Uncount(last);
  if (joined_size > last.chunk->capacity()) {
    last.chunk = Chunk::Resize(std::move(last.chunk),
                               std::max(joined_size, 2 * size), size);
  }
  std::memcpy(last.chunk->bytes() + size, frames.data(), frames.size());
  last.bytes = {last.chunk->bytes(), joined_size};
  Count(last);
}

void EgressQueue::PushLoss(LossReason reason, std::string_view topic) {
  CountLoss(reason, 1);
  if (gaps_ != Gaps::kOnlyCounted) AddToLastGap(reason, topic);
}

void EgressQueue::PushLosses(QueuedAs as, const Slice& slice,
                             LossReason reason) {
  if (as != QueuedAs::kFrames) return PushLoss(reason, "");
  for (std::string_view rest(slice.bytes, slice.size); !rest.empty();) {
    const MessageUnit unit = FirstUnit(rest);
    PushLoss(reason, unit.topic());
    rest.remove_prefix(unit.bytes.size());
  }
}

size_t EgressQueue::Peek(absl::Span<Slice> slices) {
  if (!entries_.empty() && entries_.front().gap) RenderFrontGap();
  size_t count = 0;
  for (; count < entries_.size() && count < slices.size(); ++count) {
    const QueueEntry& entry = entries_[count];
    // Not announced before it is its turn: until then it may grow.
    if (entry.gap) break;
    slices[count] = {entry.bytes.data() + entry.written, entry.rest()};
  }
  return count;
}

void EgressQueue::Consume(size_t bytes) {
  while (bytes > 0) {
    QueueEntry& entry = entries_.front();
    const size_t part = std::min(bytes, entry.rest());
    if (part == entry.rest()) {
      EraseEntry(0);
    } else {
      entry.written += part;
      bytes_ -= part;
      if (entry.as == QueuedAs::kControl) control_bytes_ -= part;
    }
    bytes -= part;
  }
}

uint64_t EgressQueue::DropOldest(const QueueLimits& limits) {
  const uint64_t dropped_before = dropped();
  size_t index = SplitFront();
  while (RecountExceeds(limits) && index < entries_.size()) {
    if (!entries_[index].is_message()) {
      ++index;
    } else if (IsNewestMessage(index)) {
      break;
    } else {
      index = LoseFirstMessage(index, LossReason::kOverflow);
    }
  }
  return dropped() - dropped_before;
}

uint64_t EgressQueue::Conflate() {
  absl::flat_hash_map<std::string_view, const char*> newest;
  for (size_t i = SplitFront(); i < entries_.size(); ++i) {
    if (!entries_[i].is_message()) continue;
    for (std::string_view rest = entries_[i].bytes; !rest.empty();) {
      const MessageUnit unit = FirstUnit(rest);
      newest[unit.topic()] = unit.bytes.data();
      rest.remove_prefix(unit.bytes.size());
    }
  }
  return DropIf(LossReason::kConflated, GapAt::kFirstLoss,
                [&](const QueueEntry&, const MessageUnit& unit) {
                  return newest.at(unit.topic()) != unit.bytes.data();
                });
}

uint64_t EgressQueue::DropExpired(uint64_t now_unix_nanos) {
  SplitFront();
  const bool any = std::any_of(
      entries_.begin(), entries_.end(), [&](const QueueEntry& entry) {
        return IsExpired(entry.expiry_unix_nanos, now_unix_nanos);
      });
  if (!any) return 0;
  return DropIf(LossReason::kExpired, GapAt::kEachLoss,
                [&](const QueueEntry& entry, const MessageUnit& unit) {
                  const uint64_t expiry = entry.as == QueuedAs::kUnit
                                              ? entry.expiry_unix_nanos
                                              : unit.Read().expiry_unix_nanos;
                  return IsExpired(expiry, now_unix_nanos);
                });
}

uint64_t EgressQueue::DropAll(LossReason reason) {
  return DropIf(reason, GapAt::kEachLoss,
                [](const QueueEntry&, const MessageUnit&) { return true; });
}

uint64_t EgressQueue::Clear() {
  const bool begun = SplitFront() > 0;
  const uint64_t messages = messages_ - (begun ? entries_.front().messages : 0);
  (void)ReleaseEntries();
  return messages;
}

QueueEntries EgressQueue::ReleaseEntries() {
  QueueEntries entries = std::exchange(entries_, {});
  bytes_ = 0;
  messages_ = 0;
  control_bytes_ = 0;
  control_entries_ = 0;
  frames_entries_ = 0;
  expiring_entries_ = 0;
  gap_bytes_ = 0;
  held_.Clear();
  return entries;
}

void EgressQueue::Count(const QueueEntry& entry) {
  if (entry.gap) {
    gap_bytes_ += entry.gap->memory_bytes();
    return;
  }
  held_.Add(entry.chunk);
  bytes_ += entry.rest();
  messages_ += entry.messages;
  if (entry.as == QueuedAs::kControl) {
    control_bytes_ += entry.rest();
    ++control_entries_;
  }
  if (entry.as == QueuedAs::kFrames) ++frames_entries_;
  if (entry.expiry_unix_nanos != 0) ++expiring_entries_;
}

void EgressQueue::Uncount(const QueueEntry& entry) {
  if (entry.gap) {
    gap_bytes_ -= entry.gap->memory_bytes();
    return;
  }
  held_.Remove(entry.chunk);
  bytes_ -= entry.rest();
  messages_ -= entry.messages;
  if (entry.as == QueuedAs::kControl) {
    control_bytes_ -= entry.rest();
    --control_entries_;
  }
  if (entry.as == QueuedAs::kFrames) --frames_entries_;
  if (entry.expiry_unix_nanos != 0) --expiring_entries_;
}

void EgressQueue::AlignFront() {
  if (entries_.empty()) return;
  QueueEntry& front = entries_.front();
  if (!front.is_frames()) return;
  while (front.written > 0) {
    const size_t unit_bytes = FirstUnit(front.bytes).bytes.size();
    if (unit_bytes > front.written) return;
    front.bytes.remove_prefix(unit_bytes);
    front.written -= unit_bytes;
    --front.messages;
    --messages_;
  }
}

size_t EgressQueue::SplitFront() {
  if (entries_.empty()) return 0;
  AlignFront();
  QueueEntry& front = entries_.front();
  if (front.written == 0) return 0;
  Uncount(front);
  QueueEntry begun;
  begun.as = front.as;
  begun.chunk = front.chunk;
  begun.messages = front.as == QueuedAs::kControl ? 0 : 1;
  begun.bytes = front.as == QueuedAs::kFrames ? FirstUnit(front.bytes).bytes
                                              : front.bytes;
  begun.written = std::exchange(front.written, 0);
  front.bytes.remove_prefix(begun.bytes.size());
  front.messages -= begun.messages;
  if (front.bytes.empty()) {
    entries_.pop_front();
  } else {
    Count(front);
  }
  Count(begun);
  entries_.push_front(std::move(begun));
  return 1;
}

void EgressQueue::RenderFrontGap() {
  QueueEntry& front = entries_.front();
  Uncount(front);
  const std::unique_ptr<GapLedger> gap = std::move(front.gap);
  const std::string text =
      gaps_ == Gaps::kFrames ? gap->Frames(frame_bytes_max_) : gap->JsonLines();
  front.as = QueuedAs::kControl;
  front.chunk = Chunk::CopyOf(text);
  front.bytes = front.chunk->view();
  Count(front);
}

void EgressQueue::EraseEntry(size_t index) {
  Uncount(entries_[index]);
  entries_.erase(entries_.begin() + static_cast<ptrdiff_t>(index));
}

size_t EgressQueue::LoseFirstMessage(size_t index, LossReason reason) {
  CountLoss(reason, 1);
  const bool is_unit = entries_[index].as == QueuedAs::kUnit;
  const MessageUnit unit =
      is_unit ? MessageUnit() : FirstUnit(entries_[index].bytes);
  if (gaps_ != Gaps::kOnlyCounted) {
    if (index == 0 || !entries_[index - 1].gap) {
      QueueEntry gap;
      gap.gap = std::make_unique<GapLedger>();
      Count(gap);
      entries_.insert(entries_.begin() + static_cast<ptrdiff_t>(index),
                      std::move(gap));
      ++index;
    }
    AddToGap(entries_[index - 1], reason, is_unit ? "" : unit.topic());
  }
  QueueEntry& entry = entries_[index];
  if (is_unit || unit.bytes.size() == entry.bytes.size()) {
    EraseEntry(index);
    if (index > 0 && index < entries_.size() && entries_[index - 1].gap &&
        entries_[index].gap) {
      AddToGap(entries_[index - 1], *entries_[index].gap);
      EraseEntry(index);
    }
  } else {
    entry.bytes.remove_prefix(unit.bytes.size());
    --entry.messages;
    bytes_ -= unit.bytes.size();
    --messages_;
  }
  return index;
}

bool EgressQueue::IsNewestMessage(size_t index) const {
  const QueueEntry& entry = entries_[index];
  if (entry.as == QueuedAs::kFrames &&
      FirstUnit(entry.bytes).bytes.size() < entry.bytes.size()) {
    return false;
  }
  return std::none_of(
      entries_.begin() + static_cast<ptrdiff_t>(index) + 1, entries_.end(),
      [](const QueueEntry& later) { return later.is_message(); });
}

template <typename... Loss>
void EgressQueue::AddToGap(QueueEntry& entry, const Loss&... loss) {
  Uncount(entry);
  entry.gap->Add(loss...);
  Count(entry);
}

template <typename... Loss>
void EgressQueue::AddToLastGap(const Loss&... loss) {
  if (entries_.empty() || !entries_.back().gap) {
    QueueEntry& gap = entries_.emplace_back();
    gap.gap = std::make_unique<GapLedger>();
    Count(gap);
  }
  AddToGap(entries_.back(), loss...);
}

void EgressQueue::AppendEntry(QueueEntry entry) {
  if (entry.gap) {
    AddToLastGap(*entry.gap);
    return;
  }
  Count(entry);
  entries_.push_back(std::move(entry));
}

bool EgressQueue::JoinLast(const QueueEntry& entry) {
  if (entries_.empty() || !entry.is_frames()) return false;
  QueueEntry& last = entries_.back();
  if (!last.is_frames() || last.written > 0 || entry.written > 0 ||
      last.bytes.data() + last.bytes.size() != entry.bytes.data()) {
    return false;
  }
  last.bytes = {last.bytes.data(), last.bytes.size() + entry.bytes.size()};
  last.messages += entry.messages;
  bytes_ += entry.bytes.size();
  messages_ += entry.messages;
  if (last.expiry_unix_nanos == 0 && entry.expiry_unix_nanos != 0) {
    ++expiring_entries_;
  }
  last.expiry_unix_nanos =
      EarlierExpiry(last.expiry_unix_nanos, entry.expiry_unix_nanos);
  return true;
}

void EgressQueue::AppendUnit(const QueueEntry& from, const MessageUnit& unit) {
  QueueEntry entry;
  entry.chunk = from.chunk;
  entry.bytes = unit.bytes;
  entry.messages = 1;
  entry.expiry_unix_nanos =
      from.expiry_unix_nanos == 0 ? 0 : unit.Read().expiry_unix_nanos;
  if (!JoinLast(entry)) AppendEntry(std::move(entry));
}

template <typename IsLost>
uint64_t EgressQueue::DropIf(LossReason reason, GapAt gap_at,
                             const IsLost& is_lost) {
  const size_t first = SplitFront();
  QueueEntries before = ReleaseEntries();
  uint64_t lost = 0;
  QueueEntry* gap = nullptr;
  const auto lose = [&](std::string_view topic) {
    ++lost;
    if (gaps_ == Gaps::kOnlyCounted) return;
    if (gap == nullptr || gap_at == GapAt::kEachLoss) {
      AddToLastGap(reason, topic);
      gap = &entries_.back();  // to which a deque keeps pointers when it grows
    } else {
      AddToGap(*gap, reason, topic);
    }
  };
  for (size_t i = 0; i < before.size(); ++i) {
    QueueEntry& entry = before[i];
    if (i < first || !entry.is_message()) {
      AppendEntry(std::move(entry));
    } else if (entry.as == QueuedAs::kUnit) {
      if (is_lost(entry, MessageUnit())) {
        lose("");
      } else {
        AppendEntry(std::move(entry));
      }
    } else {
      for (std::string_view rest = entry.bytes; !rest.empty();) {
        const MessageUnit unit = FirstUnit(rest);
        if (is_lost(entry, unit)) {
          lose(unit.topic());
        } else {
          AppendUnit(entry, unit);
        }
        rest.remove_prefix(unit.bytes.size());
      }
    }
  }
  CountLoss(reason, lost);
  return lost;
}

}  // namespace fifobus
