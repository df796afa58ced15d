#ifndef FIFOBUS_BROKER_CORE_DELIVERY_HELD_CHUNKS_H_
#define FIFOBUS_BROKER_CORE_DELIVERY_HELD_CHUNKS_H_

#include <cstddef>
#include <cstdint>

#include "absl/container/flat_hash_map.h"
#include "broker/base/check.h"
#include "broker/seam/chunk.h"

namespace fifobus {

// Counts the memory that a queue keeps alive by its references to chunks, each
// chunk once, however many entries refer to it. Thread-compatible; owned by an
// EgressQueue.
//
// Invariant: bytes() is the sum of the capacities of the chunks that were added
// more often than removed.
class HeldChunks {
 public:
  void Add(const ChunkRef& chunk) {
    if (references_[chunk.get()]++ == 0) bytes_ += chunk->capacity();
  }

  // REQUIRES: it was added.
  void Remove(const ChunkRef& chunk) {
    const auto held = references_.find(chunk.get());
    FIFOBUS_CHECK(held != references_.end());
    if (--held->second > 0) return;
    bytes_ -= chunk->capacity();
    references_.erase(held);
  }

  void Clear() {
    references_.clear();
    bytes_ = 0;
  }

  size_t bytes() const { return bytes_; }

 private:
  absl::flat_hash_map<const Chunk*, uint32_t> references_;
  size_t bytes_ = 0;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_DELIVERY_HELD_CHUNKS_H_
