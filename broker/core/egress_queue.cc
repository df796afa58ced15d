#include "broker/core/egress_queue.h"

#include <cstring>
#include <string>
#include <utility>

#include "broker/base/check.h"
#include "proto/frame.h"

namespace fifobus {
namespace {

// The bytes of the frame at the front of an entry, which holds whole frames.
size_t FirstFrameBytes(std::string_view bytes) {
  const FrameExtent extent = FindFrame(bytes, bytes.size());
  FIFOBUS_CHECK(extent.state == FrameExtent::State::kWhole);
  return extent.frame_bytes;
}

std::string_view TopicOf(std::string_view frame) {
  return ReadMessage(ReadFrame(frame.substr(kFramePrefixBytes)).member).topic;
}

}  // namespace

void EgressQueue::Push(QueuedAs as, ChunkRef chunk, Slice slice,
                       size_t written) {
  FIFOBUS_CHECK(written < slice.size);
  FIFOBUS_CHECK(written == 0 || empty());
  Entry& entry = entries_.emplace_back();
  entry.as = as;
  entry.chunk = std::move(chunk);
  entry.bytes = std::string_view(slice.bytes, slice.size);
  entry.written = written;
  bytes_ += entry.rest();
  if (as == QueuedAs::kControl) control_bytes_ += entry.rest();
}

size_t EgressQueue::Peek(absl::Span<Slice> slices) {
  if (!gap_.empty()) {
    const size_t first_whole = SplitFront();
    if (first_whole == 0) InsertGapFrame();
  }
  // What is partly written goes first and alone while a gap waits behind it.
  const size_t end = gap_.empty() ? entries_.size() : 1;
  size_t count = 0;
  for (; count < end && count < slices.size(); ++count) {
    const Entry& entry = entries_[count];
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

uint64_t EgressQueue::DropOldest(size_t bytes_max) {
  const uint64_t dropped_before = dropped_;
  size_t index = SplitFront();
  while (bytes_ > bytes_max && index < entries_.size()) {
    if (entries_[index].as == QueuedAs::kControl) {
      ++index;
    } else if (IsNewestMessage(index)) {
      break;
    } else {
      DropFirstMessage(index);
    }
  }
  return dropped_ - dropped_before;
}

void EgressQueue::Clear() {
  entries_.clear();
  gap_ = GapLedger();
  bytes_ = 0;
  control_bytes_ = 0;
}

void EgressQueue::AlignFront() {
  Entry& front = entries_.front();
  if (front.as != QueuedAs::kFrames) return;
  while (front.written > 0) {
    const size_t frame_bytes = FirstFrameBytes(front.bytes);
    if (frame_bytes > front.written) return;
    front.bytes.remove_prefix(frame_bytes);
    front.written -= frame_bytes;
  }
}

size_t EgressQueue::SplitFront() {
  if (entries_.empty()) return 0;
  AlignFront();
  Entry& front = entries_.front();
  if (front.written == 0) return 0;
  if (front.as == QueuedAs::kFrames) {
    const size_t frame_bytes = FirstFrameBytes(front.bytes);
    if (frame_bytes < front.bytes.size()) {
      Entry begun = front;
      begun.bytes = front.bytes.substr(0, frame_bytes);
      front.bytes.remove_prefix(frame_bytes);
      front.written = 0;
      entries_.push_front(std::move(begun));
    }
  }
  return 1;
}

void EgressQueue::InsertGapFrame() {
  const std::string frame = gap_.TakeFrame();
  ChunkRef chunk = Chunk::Make(frame.size());
  std::memcpy(chunk->bytes(), frame.data(), frame.size());
  const std::string_view bytes(chunk->bytes(), frame.size());
  entries_.push_front({QueuedAs::kControl, std::move(chunk), bytes});
  bytes_ += bytes.size();
  control_bytes_ += bytes.size();
}

void EgressQueue::EraseEntry(size_t index) {
  const Entry& entry = entries_[index];
  bytes_ -= entry.rest();
  if (entry.as == QueuedAs::kControl) control_bytes_ -= entry.rest();
  entries_.erase(entries_.begin() + static_cast<ptrdiff_t>(index));
}

void EgressQueue::DropFirstMessage(size_t index) {
  Entry& entry = entries_[index];
  ++dropped_;
  if (entry.as == QueuedAs::kUnit) {
    EraseEntry(index);
    return;
  }
  const size_t frame_bytes = FirstFrameBytes(entry.bytes);
  if (gaps_ == Gaps::kAnnounced) {
    gap_.Add(TopicOf(entry.bytes.substr(0, frame_bytes)));
  }
  if (frame_bytes == entry.bytes.size()) {
    EraseEntry(index);
  } else {
    entry.bytes.remove_prefix(frame_bytes);
    bytes_ -= frame_bytes;
  }
}

bool EgressQueue::IsNewestMessage(size_t index) const {
  const Entry& entry = entries_[index];
  if (entry.as == QueuedAs::kFrames &&
      FirstFrameBytes(entry.bytes) < entry.bytes.size()) {
    return false;
  }
  for (size_t later = index + 1; later < entries_.size(); ++later) {
    if (entries_[later].as != QueuedAs::kControl) return false;
  }
  return true;
}

}  // namespace fifobus
