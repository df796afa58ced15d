#ifndef FIFOBUS_BROKER_IO_REST_BUFFER_H_
#define FIFOBUS_BROKER_IO_REST_BUFFER_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "broker/seam/chunk.h"

namespace fifobus {

class StateChunks;
namespace pb::state {
class RestBuffer;
}  // namespace pb::state

// What one ingress has read and its feed has not taken: the beginning of a
// frame, which goes to the front of the next read.
//
// A small rest is kept in a string of its own, so that an idle pipe holds no
// chunk. A rest of a frame that is larger than a chunk is kept in an assembly: a
// buffer that the pipe is read into directly, and that grows with the bytes
// that have come and not with the length that was announced.
//
// Invariant: at most one of the string and the assembly holds bytes.
// Thread-compatible: it belongs to its pipe.
class RestBuffer {
 public:
  // `chunk_bytes` is the size of the chunks that are read into otherwise.
  explicit RestBuffer(size_t chunk_bytes) : chunk_bytes_(chunk_bytes) {}

  bool is_assembling() const { return static_cast<bool>(assembly_); }
  size_t bytes() const { return carry_.size() + assembled_bytes_; }
  // Valid until the next call of a function that is not const.
  std::string_view rest() const;
  // How many bytes the begun frame has in all; 0: no assembly.
  size_t wanted_bytes() const { return wanted_bytes_; }

  // The assembly, with the rest at its front and room behind it.
  // REQUIRES: is_assembling().
  const ChunkRef& Assembly();
  // Copies the rest to the front of a chunk of `chunk_bytes`.
  // REQUIRES: !is_assembling().
  void CopyTo(Chunk& chunk) const;

  // Keeps `rest` in place of what it had; `rest` may lie in the assembly.
  // `wanted` is the number of bytes, from the first of the rest on, that make
  // progress possible; 0: one more may do. REQUIRES: the rest of a frame that
  // fits a chunk is smaller than a chunk.
  void Keep(std::string_view rest, size_t wanted);
  void Clear();

  // What an upgrade takes over; an assembly goes over as a chunk.
  pb::state::RestBuffer Export(StateChunks& chunks) const;
  // REQUIRES: it is empty.
  void Restore(const pb::state::RestBuffer& state, const StateChunks& chunks);

 private:
  const size_t chunk_bytes_;
  std::string carry_;
  ChunkRef assembly_;
  size_t assembled_bytes_ = 0;
  size_t wanted_bytes_ = 0;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_IO_REST_BUFFER_H_
