#include "clients/cpp/internal/receive_buffer.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace fifobus {
namespace {

// Four default pipes: one read empties the pipe and what came meanwhile.
constexpr size_t kFirstCapacity = size_t{256} << 10;

// At least this much room for a read; a pipe in packet mode throws away what a
// short read leaves (pipe(2), O_DIRECT).
constexpr size_t kReadBytesMin = size_t{64} << 10;

}  // namespace

ReceiveBuffer::FillOutcome ReceiveBuffer::Fill(int fd) {
  if (full()) return FillOutcome::kFull;
  repeated_.Forget();  // what is taken may move or go
  MakeRoom();
  while (true) {
    const ssize_t bytes = read(fd, bytes_.get() + end_, capacity_ - end_);
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0) return FillOutcome::kEmpty;
    if (bytes == 0) return FillOutcome::kEnd;
    end_ += static_cast<size_t>(bytes);
    return FillOutcome::kBytes;
  }
}

void ReceiveBuffer::Keep(size_t bytes) {
  if (kept_ < scanned_) std::memmove(at(kept_), at(scanned_), bytes);
  kept_ += bytes;
  scanned_ += bytes;
}

void ReceiveBuffer::EndScan() {
  if (kept_ == scanned_) return;
  if (kept_ == taken_) {
    // Nothing is before the hole that would have to stay: it counts as taken.
    if (released_ == taken_) released_ = scanned_;
    taken_ = kept_ = scanned_;
    return;
  }
  std::memmove(at(kept_), at(scanned_), end_ - scanned_);
  end_ -= scanned_ - kept_;
  scanned_ = kept_;
}

void ReceiveBuffer::DropUnscanned() { end_ = scanned_ = kept_; }

void ReceiveBuffer::Take(size_t bytes) {
  taken_ += bytes;
  if (kept_ < taken_) scanned_ = kept_ = taken_;
}

void ReceiveBuffer::Clear() {
  repeated_.Forget();
  if (released_ < taken_) {
    Retire();
    capacity_ = 0;
  }
  released_ = taken_ = kept_ = scanned_ = end_ = wanted_ = 0;
}

void ReceiveBuffer::Retire() {
  // A buffer that is retired already holds what was taken. This one holds
  // nothing that the caller has seen.
  if (!retired_) retired_ = std::move(bytes_);
}

// The rest moves to the front only when the room behind it is too small: once
// for about every capacity read.
void ReceiveBuffer::MakeRoom() {
  const size_t held = end_ - taken_;
  const bool viewed = released_ < taken_;
  if (held == 0 && !viewed) {
    released_ = taken_ = kept_ = scanned_ = end_ = 0;
  }
  const size_t needed = std::max(held + kReadBytesMin, wanted_);
  if (capacity_ - taken_ >= needed && capacity_ - end_ >= kReadBytesMin) return;
  if (capacity_ < needed || viewed) {
    const size_t capacity =
        capacity_ < needed ? std::max({kFirstCapacity, 2 * capacity_, needed})
                           : capacity_;
    auto bytes = std::make_unique_for_overwrite<char[]>(capacity);
    if (held > 0) std::memcpy(bytes.get(), at(taken_), held);
    if (viewed) Retire();
    bytes_ = std::move(bytes);
    capacity_ = capacity;
  } else {
    std::memmove(bytes_.get(), at(taken_), held);
  }
  kept_ -= taken_;
  scanned_ -= taken_;
  end_ = held;
  released_ = taken_ = 0;
}

}  // namespace fifobus
