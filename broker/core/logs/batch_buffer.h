#ifndef FIFOBUS_BROKER_CORE_LOGS_BATCH_BUFFER_H_
#define FIFOBUS_BROKER_CORE_LOGS_BATCH_BUFFER_H_

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "broker/core/logs/log_format.h"
#include "broker/seam/chunk.h"

namespace fifobus {

// Batches that are not on disk yet, byte for byte as they will be there. A
// batch gets its position, its synced offset and its hashes when it is written,
// and again if it has to be written elsewhere.
//
// Thread-compatible.
class BatchBuffer {
 public:
  // Appends a batch, of which position, synced offset and hash are still open.
  // Returns where its body goes: header.body_bytes bytes, to be written before
  // the next call.
  char* Add(BatchHeader header);

  // Says where the buffer goes, and completes all headers.
  void Seal(uint64_t position, uint64_t synced_offset, uint64_t seed);

  std::string_view bytes() const {
    return size_ == 0 ? std::string_view()
                      : std::string_view(chunk_->bytes(), size_);
  }
  size_t size() const { return size_; }
  bool empty() const { return batches_.empty(); }
  // Complete after Seal.
  const std::vector<BatchHeader>& batches() const { return batches_; }

  // Forgets the batches. Keeps the memory, unless they took little of it.
  void Clear();

 private:
  ChunkRef chunk_;
  size_t size_ = 0;
  std::vector<BatchHeader> batches_;
  bool bodies_hashed_ = false;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_LOGS_BATCH_BUFFER_H_
