#ifndef FIFOBUS_BROKER_SEAM_CHUNK_H_
#define FIFOBUS_BROKER_SEAM_CHUNK_H_

#include <atomic>
#include <cstddef>
#include <string_view>
#include <utility>

namespace fifobus {

class ChunkRef;

// A buffer that several queues share: what one ingress read brought, or what
// the broker itself wrote. Lives until its last ChunkRef is gone; header and
// bytes are one allocation.
//
// Thread-safe as to its references. The thread that made the chunk writes the
// bytes while its reference is the only one; once shared they never change.
class Chunk {
 public:
  // `capacity` bytes, not initialised.
  static ChunkRef Make(size_t capacity);

  // A chunk of exactly these bytes.
  static ChunkRef CopyOf(std::string_view bytes);

  // The same bytes in a chunk of `capacity`, the first `keep_bytes` preserved.
  // Moves no byte twice if `chunk` was the only reference and the allocator can
  // extend it (glibc remaps large blocks instead of copying them).
  // REQUIRES: keep_bytes <= both capacities.
  static ChunkRef Resize(ChunkRef chunk, size_t capacity, size_t keep_bytes);

  char* bytes() { return reinterpret_cast<char*>(this + 1); }
  const char* bytes() const { return reinterpret_cast<const char*>(this + 1); }
  size_t capacity() const { return capacity_; }
  // All of them.
  std::string_view view() const { return {bytes(), capacity_}; }

 private:
  friend class ChunkRef;
  explicit Chunk(size_t capacity) : capacity_(capacity) {}

  std::atomic<size_t> references_{1};
  size_t capacity_;
};

// One reference to a Chunk, or none. Thread-compatible: each has an owner, and
// those of one chunk may be used at once.
class ChunkRef {
 public:
  ChunkRef() = default;
  ChunkRef(const ChunkRef& other) : chunk_(other.chunk_) {
    // Relaxed: a new reference is made from one that is alive already.
    if (chunk_) chunk_->references_.fetch_add(1, std::memory_order_relaxed);
  }
  ChunkRef(ChunkRef&& other) noexcept
      : chunk_(std::exchange(other.chunk_, nullptr)) {}
  ChunkRef& operator=(ChunkRef other) noexcept {
    std::swap(chunk_, other.chunk_);
    return *this;
  }
  ~ChunkRef() { Release(); }

  explicit operator bool() const { return chunk_ != nullptr; }
  Chunk* operator->() const { return chunk_; }
  Chunk* get() const { return chunk_; }

  // True if this is the only reference, so that the chunk may be written again.
  bool unique() const {
    return chunk_ && chunk_->references_.load(std::memory_order_acquire) == 1;
  }

 private:
  friend class Chunk;
  explicit ChunkRef(Chunk* chunk) : chunk_(chunk) {}
  void Release();

  Chunk* chunk_ = nullptr;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_SEAM_CHUNK_H_
