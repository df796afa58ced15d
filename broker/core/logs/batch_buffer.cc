#include "broker/core/logs/batch_buffer.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace fifobus {
namespace {

// What a buffer begins with. It doubles, so the size hardly matters.
constexpr size_t kCapacityMin = size_t{64} << 10;

}  // namespace

char* BatchBuffer::Add(BatchHeader header) {
  const size_t header_bytes = header.header_bytes();
  const size_t body_end = size_ + header_bytes + header.body_bytes;
  const size_t end = Aligned(body_end);
  const size_t capacity = chunk_ ? chunk_->capacity() : 0;
  if (!chunk_) {
    chunk_ = Chunk::Make(std::max(end, kCapacityMin));
  } else if (end > capacity) {
    chunk_ =
        Chunk::Resize(std::move(chunk_), std::max(end, 2 * capacity), size_);
  }
  char* const body = chunk_->bytes() + size_ + header_bytes;
  std::memset(chunk_->bytes() + body_end, 0, end - body_end);
  size_ = end;
  bodies_hashed_ = false;
  batches_.push_back(std::move(header));
  return body;
}

void BatchBuffer::Seal(uint64_t position, uint64_t synced_offset,
                       uint64_t seed) {
  char* out = size_ == 0 ? nullptr : chunk_->bytes();
  for (BatchHeader& header : batches_) {
    header.position = position;
    header.synced_offset = synced_offset;
    if (!bodies_hashed_) {
      header.body_hash =
          LogHash({out + header.header_bytes(), header.body_bytes}, seed);
    }
    EncodeBatchHeader(header, seed, out);
    out += header.end_position() - position;
    position = header.end_position();
  }
  bodies_hashed_ = true;
}

void BatchBuffer::Clear() {
  // After a burst, so that a hundred logs do not keep a backlog's memory each.
  if (chunk_ && chunk_->capacity() > kCapacityMin &&
      size_ < chunk_->capacity() / 8) {
    chunk_ = ChunkRef();
  }
  size_ = 0;
  batches_.clear();
  bodies_hashed_ = false;
}

}  // namespace fifobus
