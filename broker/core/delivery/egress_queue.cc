#include "broker/core/delivery/egress_queue.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "broker/base/check.h"
#include "proto/expiry.h"

namespace fifobus {
bool EgressQueue::RecountExceeds(const QueueLimits& limits) {
  if (bytes_ > limits.bytes_max) return true;
  if (limits.messages_max == 0 || messages_ <= limits.messages_max) {
    return false;
  }
  AlignFront();
  return messages_ > limits.messages_max;
}

bool EgressQueue::IsBelowHalf(const QueueLimits& limits) const {
  return bytes_ < limits.bytes_max / 2 &&
         (limits.messages_max == 0 || messages_ <= limits.messages_max / 2);
}

void EgressQueue::Push(QueuedAs as, ChunkRef chunk, const Slice& slice,
                       size_t written) {
  FIFOBUS_CHECK(written < slice.size);
  FIFOBUS_CHECK(written == 0 || empty());
  Entry& entry = entries_.emplace_back();
  entry.as = as;
  entry.chunk = std::move(chunk);
  entry.bytes = std::string_view(slice.bytes, slice.size);
  entry.written = written;
  entry.messages = as == QueuedAs::kControl ? 0 : slice.messages;
  entry.expiry_unix_nanos = slice.expiry_unix_nanos;
  Count(entry);
}

void EgressQueue::PushLoss(LossReason reason, std::string_view topic) {
  CountLoss(reason, 1);
  if (gaps_ != Gaps::kOnlyCounted) LastGap().Add(reason, topic);
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
    const Entry& entry = entries_[count];
    // Not announced before it is its turn: until then it may grow.
    if (entry.gap) break;
    slices[count] = {entry.bytes.data() + entry.written, entry.rest()};
  }
  return count;
}

void EgressQueue::Consume(size_t bytes) {
  while (bytes > 0) {
    Entry& entry = entries_.front();
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
                [&](const Entry&, const MessageUnit& unit) {
                  return newest.at(unit.topic()) != unit.bytes.data();
                });
}

uint64_t EgressQueue::DropExpired(uint64_t now_unix_nanos) {
  SplitFront();
  const bool any =
      std::any_of(entries_.begin(), entries_.end(), [&](const Entry& entry) {
        return IsExpired(entry.expiry_unix_nanos, now_unix_nanos);
      });
  if (!any) return 0;
  return DropIf(LossReason::kExpired, GapAt::kEachLoss,
                [&](const Entry& entry, const MessageUnit& unit) {
                  const uint64_t expiry = entry.as == QueuedAs::kUnit
                                              ? entry.expiry_unix_nanos
                                              : unit.Read().expiry_unix_nanos;
                  return IsExpired(expiry, now_unix_nanos);
                });
}

uint64_t EgressQueue::DropAll(LossReason reason) {
  return DropIf(reason, GapAt::kEachLoss,
                [](const Entry&, const MessageUnit&) { return true; });
}

uint64_t EgressQueue::Clear() {
  const bool begun = SplitFront() > 0;
  const uint64_t messages = messages_ - (begun ? entries_.front().messages : 0);
  entries_.clear();
  bytes_ = 0;
  messages_ = 0;
  control_bytes_ = 0;
  expiring_entries_ = 0;
  return messages;
}

void EgressQueue::Count(const Entry& entry) {
  bytes_ += entry.rest();
  messages_ += entry.messages;
  if (entry.as == QueuedAs::kControl) control_bytes_ += entry.rest();
  if (entry.expiry_unix_nanos != 0) ++expiring_entries_;
}

void EgressQueue::Uncount(const Entry& entry) {
  bytes_ -= entry.rest();
  messages_ -= entry.messages;
  if (entry.as == QueuedAs::kControl) control_bytes_ -= entry.rest();
  if (entry.expiry_unix_nanos != 0) --expiring_entries_;
}

void EgressQueue::AlignFront() {
  if (entries_.empty()) return;
  Entry& front = entries_.front();
  if (front.as != QueuedAs::kFrames) return;
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
  Entry& front = entries_.front();
  if (front.written == 0) return 0;
  Uncount(front);
  Entry begun;
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
  Entry& front = entries_.front();
  const std::unique_ptr<GapLedger> gap = std::move(front.gap);
  const std::string text =
      gaps_ == Gaps::kFrames ? gap->Frames() : gap->JsonLines();
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
      Entry gap;
      gap.gap = std::make_unique<GapLedger>();
      entries_.insert(entries_.begin() + static_cast<ptrdiff_t>(index),
                      std::move(gap));
      ++index;
    }
    entries_[index - 1].gap->Add(reason, is_unit ? "" : unit.topic());
  }
  Entry& entry = entries_[index];
  if (is_unit || unit.bytes.size() == entry.bytes.size()) {
    EraseEntry(index);
    if (index > 0 && index < entries_.size() && entries_[index - 1].gap &&
        entries_[index].gap) {
      entries_[index - 1].gap->Add(*entries_[index].gap);
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
  const Entry& entry = entries_[index];
  if (entry.as == QueuedAs::kFrames &&
      FirstUnit(entry.bytes).bytes.size() < entry.bytes.size()) {
    return false;
  }
  return std::none_of(entries_.begin() + static_cast<ptrdiff_t>(index) + 1,
                      entries_.end(),
                      [](const Entry& later) { return later.is_message(); });
}

GapLedger& EgressQueue::LastGap() {
  if (entries_.empty() || !entries_.back().gap) {
    entries_.emplace_back().gap = std::make_unique<GapLedger>();
  }
  return *entries_.back().gap;
}

void EgressQueue::AppendEntry(Entry entry) {
  if (entry.gap) {
    LastGap().Add(*entry.gap);
    return;
  }
  Count(entry);
  entries_.push_back(std::move(entry));
}

void EgressQueue::AppendUnit(const Entry& from, const MessageUnit& unit) {
  const uint64_t expiry =
      from.expiry_unix_nanos == 0 ? 0 : unit.Read().expiry_unix_nanos;
  if (!entries_.empty()) {
    Entry& last = entries_.back();
    if (last.is_message() && last.as == QueuedAs::kFrames &&
        last.written == 0 &&
        last.bytes.data() + last.bytes.size() == unit.bytes.data()) {
      Uncount(last);
      last.bytes = {last.bytes.data(), last.bytes.size() + unit.bytes.size()};
      ++last.messages;
      last.expiry_unix_nanos = EarlierExpiry(last.expiry_unix_nanos, expiry);
      Count(last);
      return;
    }
  }
  Entry& entry = entries_.emplace_back();
  entry.chunk = from.chunk;
  entry.bytes = unit.bytes;
  entry.messages = 1;
  entry.expiry_unix_nanos = expiry;
  Count(entry);
}

template <typename IsLost>
uint64_t EgressQueue::DropIf(LossReason reason, GapAt gap_at,
                             const IsLost& is_lost) {
  const size_t first = SplitFront();
  Entries before = std::move(entries_);
  Clear();
  uint64_t lost = 0;
  GapLedger* gap = nullptr;
  const auto lose = [&](std::string_view topic) {
    ++lost;
    if (gaps_ == Gaps::kOnlyCounted) return;
    if (gap == nullptr || gap_at == GapAt::kEachLoss) gap = &LastGap();
    gap->Add(reason, topic);
  };
  for (size_t i = 0; i < before.size(); ++i) {
    Entry& entry = before[i];
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
