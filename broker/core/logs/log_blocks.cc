#include "broker/core/logs/log_blocks.h"

#include <utility>

namespace fifobus {

LogBlockRead LogBlocks::Read(const DurableLog& log, uint64_t from_offset) {
  thread_rule_.Check();
  const LogBlock* before = nullptr;
  for (auto block = blocks_.rbegin(); block != blocks_.rend(); ++block) {
    if (from_offset >= (*block)->first_offset() &&
        from_offset < (*block)->end_offset()) {
      return {LogReadOutcome::kExtents, *block, {}};
    }
    if ((*block)->end_offset() == from_offset) before = block->get();
  }
  LogBlockRead read =
      ReadLogBlock(log.view(), from_offset, options_.log_block_bytes, before);
  if (read.block) Keep(read.block);
  return read;
}

void LogBlocks::Keep(std::shared_ptr<const LogBlock> block) {
  bytes_ += block->chunk->capacity();
  blocks_.push_back(std::move(block));
  while (blocks_.size() > 1 && (bytes_ > options_.log_blocks_bytes_max ||
                                blocks_.size() > kBlocksMax)) {
    bytes_ -= blocks_.front()->chunk->capacity();
    blocks_.pop_front();
  }
}

void LogBlocks::AddReader() {
  thread_rule_.Check();
  ++readers_;
}

void LogBlocks::RemoveReader() {
  thread_rule_.Check();
  if (--readers_ > 0) return;
  blocks_.clear();
  bytes_ = 0;
}

}  // namespace fifobus
