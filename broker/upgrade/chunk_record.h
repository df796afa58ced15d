#ifndef FIFOBUS_BROKER_UPGRADE_CHUNK_RECORD_H_
#define FIFOBUS_BROKER_UPGRADE_CHUNK_RECORD_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "broker/state/delivery_state.pb.h"

// A Record of a Chunk around bytes that stay where they are, because there may
// be many of them. To others it is a Record as any. Thread-safe (no state).
namespace fifobus {

// What stands in front of the chunk's bytes, which are the rest of the record.
// `chunk` has all but its bytes.
std::string ChunkRecordHead(const pb::state::Chunk& chunk, size_t bytes);

struct ChunkRecord {
  pb::state::Chunk chunk;  // all but its bytes
  std::string_view bytes;  // in the record
};
// Nothing: the record is none of a chunk that was written so, and is to be
// parsed.
std::optional<ChunkRecord> SplitChunkRecord(std::string_view record);

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_UPGRADE_CHUNK_RECORD_H_
