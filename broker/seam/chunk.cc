#include "broker/seam/chunk.h"

#include <cstdlib>
#include <cstring>
#include <new>

#include "broker/base/check.h"

namespace fifobus {

ChunkRef Chunk::Make(size_t capacity) {
  void* memory = std::malloc(sizeof(Chunk) + capacity);
  FIFOBUS_CHECK(memory != nullptr);
  return ChunkRef(new (memory) Chunk(capacity));
}

ChunkRef Chunk::CopyOf(std::string_view bytes) {
  ChunkRef chunk = Make(bytes.size());
  // memcpy takes no null pointer.
  if (!bytes.empty()) std::memcpy(chunk->bytes(), bytes.data(), bytes.size());
  return chunk;
}

ChunkRef Chunk::Resize(ChunkRef chunk, size_t capacity, size_t keep_bytes) {
  FIFOBUS_CHECK(keep_bytes <= capacity && keep_bytes <= chunk->capacity());
  if (!chunk.unique()) {
    ChunkRef copy = Make(capacity);
    std::memcpy(copy->bytes(), chunk->bytes(), keep_bytes);
    return copy;
  }
  // A Chunk is trivially relocatable: an atomic counter that nobody else can
  // see, a size, and bytes.
  void* memory =
      std::realloc(static_cast<void*>(std::exchange(chunk.chunk_, nullptr)),
                   sizeof(Chunk) + capacity);
  FIFOBUS_CHECK(memory != nullptr);
  return ChunkRef(new (memory) Chunk(capacity));
}

void ChunkRef::Release() {
  if (chunk_ == nullptr) return;
  // Release so that our reads are done, acquire so that the last one sees it.
  if (chunk_->references_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    std::free(chunk_);
  }
}

}  // namespace fifobus
