#ifndef FIFOBUS_BROKER_CORE_RETAINED_RETAINED_VALUE_H_
#define FIFOBUS_BROKER_CORE_RETAINED_RETAINED_VALUE_H_

#include <cstdint>
#include <string_view>

#include "broker/seam/chunk.h"
#include "proto/frame.h"

namespace fifobus {

// One retained message in the form in which it is replayed: a Delivery frame
// that says "retained", and behind it the publisher's own frame. The chunk
// holds nothing else and never changes.
struct RetainedValue {
  ChunkRef chunk;
  uint64_t expiry_unix_nanos = 0;  // 0: never

  // The publisher's frame, prefix included.
  std::string_view frame() const {
    std::string_view bytes(chunk->bytes(), chunk->capacity());
    bytes.remove_prefix(FindFrame(bytes, bytes.size()).frame_bytes);
    return bytes;
  }
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_RETAINED_RETAINED_VALUE_H_
