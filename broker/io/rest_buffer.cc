#include "broker/io/rest_buffer.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "broker/base/check.h"
#include "broker/seam/state_chunks.h"
#include "broker/state/delivery_state.pb.h"

namespace fifobus {
namespace {

// From this much on, the rest of a frame that is larger than a chunk is
// assembled; below, it is carried. Keeps many begun frames cheap. Not tuned.
constexpr size_t kAssemblyBytesMin = size_t{16} << 10;

// An assembly begins with room for this many times what has come, and doubles.
// Not tuned.
constexpr size_t kAssemblyHeadroom = 4;

// A carry that grew larger than this gives its memory back when it is empty.
// Not tuned.
constexpr size_t kCarryBytesKept = size_t{4} << 10;

}  // namespace

std::string_view RestBuffer::rest() const {
  return assembly_ ? std::string_view(assembly_->bytes(), assembled_bytes_)
                   : std::string_view(carry_);
}

const ChunkRef& RestBuffer::Assembly() {
  FIFOBUS_CHECK(is_assembling());
  if (assembled_bytes_ == assembly_->capacity()) {
    const size_t capacity = std::min(wanted_bytes_, 2 * assembly_->capacity());
    assembly_ = Chunk::Resize(std::move(assembly_), capacity, assembled_bytes_);
  }
  return assembly_;
}

void RestBuffer::CopyTo(Chunk& chunk) const {
  FIFOBUS_CHECK(!is_assembling());
  if (!carry_.empty()) std::memcpy(chunk.bytes(), carry_.data(), carry_.size());
}

void RestBuffer::Keep(std::string_view rest, size_t wanted) {
  if (wanted <= chunk_bytes_ || rest.size() < kAssemblyBytesMin) {
    FIFOBUS_CHECK(rest.size() < chunk_bytes_);
    if (rest.empty() && carry_.capacity() > kCarryBytesKept) {
      carry_ = std::string();
    }
    carry_.assign(rest);  // before the assembly goes, in which it may lie
    assembly_ = ChunkRef();
    assembled_bytes_ = 0;
    wanted_bytes_ = 0;
    return;
  }
  carry_ = std::string();
  assembled_bytes_ = rest.size();
  wanted_bytes_ = wanted;
  if (assembly_ && rest.data() == assembly_->bytes()) return;  // grew in place
  ChunkRef assembly =
      Chunk::Make(std::min(wanted, kAssemblyHeadroom * rest.size()));
  std::memcpy(assembly->bytes(), rest.data(), rest.size());
  assembly_ = std::move(assembly);
}

void RestBuffer::Clear() {
  carry_ = std::string();
  assembly_ = ChunkRef();
  assembled_bytes_ = 0;
  wanted_bytes_ = 0;
}

pb::state::RestBuffer RestBuffer::Export(StateChunks& chunks) const {
  pb::state::RestBuffer state;
  if (assembly_) {
    *state.mutable_assembled() = chunks.Export(assembly_, rest());
    state.set_wanted_bytes(wanted_bytes_);
  } else {
    state.set_carried(carry_);
  }
  return state;
}

// The chunk becomes the assembly, and grows with the next read.
void RestBuffer::Restore(const pb::state::RestBuffer& state,
                         const StateChunks& chunks) {
  FIFOBUS_CHECK(bytes() == 0);
  if (!state.has_assembled()) {
    FIFOBUS_CHECK(state.carried().size() < chunk_bytes_);
    carry_ = state.carried();
    return;
  }
  StateChunks::Restored restored = chunks.Restore(state.assembled());
  FIFOBUS_CHECK(restored.bytes.data() == restored.chunk->bytes() &&
                restored.bytes.size() < state.wanted_bytes());
  assembly_ = std::move(restored.chunk);
  assembled_bytes_ = restored.bytes.size();
  wanted_bytes_ = state.wanted_bytes();
}

}  // namespace fifobus
