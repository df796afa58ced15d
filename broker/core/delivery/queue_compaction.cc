#include "broker/core/delivery/queue_compaction.h"

#include <algorithm>
#include <cstring>

namespace fifobus {

QueueCompaction::QueueCompaction(const QueueEntries& entries) {
  for (const QueueEntry& entry : entries) {
    if (!entry.is_message()) continue;
    Use& use = uses_[entry.chunk.get()];
    use.bytes += entry.bytes.size();
    if (entry.is_frames()) use.entries_bytes += sizeof(QueueEntry);
  }
  for (const auto& [chunk, use] : uses_) {
    if (IsSparse(*chunk, use)) left_bytes_ += use.bytes;
  }
}

bool QueueCompaction::IsSparse(const QueueEntry& entry) const {
  return IsSparse(*entry.chunk.get(), uses_.at(entry.chunk.get()));
}

bool QueueCompaction::IsSparse(const Chunk& chunk, const Use& use) {
  return chunk.capacity() + use.entries_bytes > use.bytes + use.bytes / 2;
}

void QueueCompaction::Copy(QueueEntry& entry) {
  const size_t size = entry.bytes.size();
  if (!chunk_ || chunk_->capacity() - filled_ < size) {
    chunk_ = Chunk::Make(std::max(size, std::min(left_bytes_, kChunkBytes)));
    filled_ = 0;
  }
  char* const copy = chunk_->bytes() + filled_;
  std::memcpy(copy, entry.bytes.data(), size);
  entry.bytes = {copy, size};
  entry.chunk = chunk_;
  filled_ += size;
  left_bytes_ -= size;
}

}  // namespace fifobus
