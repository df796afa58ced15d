#include "broker/seam/state_chunks.h"

#include <algorithm>
#include <utility>

#include "broker/base/check.h"

namespace fifobus {

pb::state::ChunkRange StateChunks::Export(const ChunkRef& chunk,
                                          std::string_view bytes) {
  const auto begin = static_cast<size_t>(bytes.data() - chunk->bytes());
  FIFOBUS_CHECK(begin + bytes.size() <= chunk->capacity());
  uint64_t& number = numbers_[chunk.get()];
  if (number == 0) {
    exported_.push_back({chunk});
    number = exported_.size();
  }
  Use& use = exported_[number - 1];
  use.begin = std::min(use.begin, begin);
  use.end = std::max(use.end, begin + bytes.size());
  pb::state::ChunkRange range;
  range.set_chunk(number);
  range.set_begin(begin);
  range.set_size(bytes.size());
  return range;
}

std::vector<StateChunks::Exported> StateChunks::exported() const {
  std::vector<Exported> exported;
  for (const Use& use : exported_) {
    exported.push_back({exported.size() + 1,
                        use.begin,
                        {use.chunk->bytes() + use.begin, use.end - use.begin}});
  }
  return exported;
}

void StateChunks::Add(uint64_t number, uint64_t begin, ChunkRef chunk) {
  const size_t end = begin + chunk->capacity();
  restored_[number] = {std::move(chunk), begin, end};
}

StateChunks::Restored StateChunks::Restore(
    const pb::state::ChunkRange& range) const {
  const auto found = restored_.find(range.chunk());
  FIFOBUS_CHECK(found != restored_.end());
  const Use& use = found->second;
  FIFOBUS_CHECK(range.begin() >= use.begin && range.begin() <= use.end &&
                range.size() <= use.end - range.begin());
  return {use.chunk,
          {use.chunk->bytes() + (range.begin() - use.begin), range.size()}};
}

}  // namespace fifobus
