#ifndef FIFOBUS_BROKER_SEAM_STATE_CHUNKS_H_
#define FIFOBUS_BROKER_SEAM_STATE_CHUNKS_H_

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "broker/seam/chunk.h"
#include "broker/state/delivery_state.pb.h"

namespace fifobus {

// The chunks of a broker's state, each with a number, so that what many queues
// share goes over once. An old broker exports ranges of chunks, and then the
// bytes of each chunk from the first to the last that was exported. A new one
// adds those, and then finds the ranges in them.
//
// Copies nothing. Thread-compatible.
class StateChunks {
 public:
  // A part of a chunk of the old broker.
  pb::state::ChunkRange Export(const ChunkRef& chunk, std::string_view bytes);

  // What was exported, in the order of the numbers. Valid as long as this.
  struct Exported {
    uint64_t number = 0;
    uint64_t begin = 0;  // of the bytes in the chunk
    std::string_view bytes;
  };
  std::vector<Exported> exported() const;

  // A chunk that holds just such bytes.
  void Add(uint64_t number, uint64_t begin, ChunkRef chunk);

  // CHECK-fails if the range is of no chunk that was added: the state is
  // damaged.
  struct Restored {
    ChunkRef chunk;
    std::string_view bytes;  // in it
  };
  Restored Restore(const pb::state::ChunkRange& range) const;

 private:
  struct Use {
    ChunkRef chunk;
    size_t begin = SIZE_MAX;
    size_t end = 0;
  };

  std::vector<Use> exported_;  // by number - 1
  absl::flat_hash_map<const Chunk*, uint64_t> numbers_;
  absl::flat_hash_map<uint64_t, Use> restored_;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_SEAM_STATE_CHUNKS_H_
