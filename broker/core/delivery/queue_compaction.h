#ifndef FIFOBUS_BROKER_CORE_DELIVERY_QUEUE_COMPACTION_H_
#define FIFOBUS_BROKER_CORE_DELIVERY_QUEUE_COMPACTION_H_

#include <cstddef>

#include "absl/container/flat_hash_map.h"
#include "broker/core/delivery/queue_entry.h"
#include "broker/seam/chunk.h"

namespace fifobus {

// Copies messages of a queue out of *sparse* chunks: those that take half as
// much memory again as what the queue has of them, or more. The copies lie
// beside each other, so that their entries may become one.
//
// For one pass over the entries in their order. Thread-compatible.
class QueueCompaction {
 public:
  // Of the chunks that are filled with copies, unless a message is larger: so
  // that memory is let go when so much of the queue has been written. Not
  // tuned.
  static constexpr size_t kChunkBytes = size_t{64} << 10;

  // Looks at all entries.
  explicit QueueCompaction(const QueueEntries& entries);

  // REQUIRES: the entry is a message that was looked at.
  bool IsSparse(const QueueEntry& entry) const;
  // Copies the entry's bytes. REQUIRES: IsSparse(entry).
  void Copy(QueueEntry& entry);

 private:
  // What the queue has of a chunk.
  struct Use {
    size_t bytes = 0;
    size_t entries_bytes = 0;  // of frames, whose entries may become one
  };

  static bool IsSparse(const Chunk& chunk, const Use& use);

  absl::flat_hash_map<const Chunk*, Use> uses_;
  size_t left_bytes_ = 0;  // to be copied
  ChunkRef chunk_;
  size_t filled_ = 0;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_DELIVERY_QUEUE_COMPACTION_H_
