#include "broker/core/logs/log_block.h"

#include <algorithm>
#include <utility>

#include "broker/base/clock.h"
#include "broker/core/logs/log_format.h"

namespace fifobus {
namespace {

// Fills the chunk from `at` on. Returns the bytes that are there.
size_t Fill(const DiskFile& file, uint64_t position, size_t at, Chunk& chunk) {
  while (at < chunk.capacity()) {
    const DiskResult read =
        file.ReadAt(position + at, chunk.bytes() + at, chunk.capacity() - at);
    if (!read.ok() || read.bytes == 0) break;
    at += read.bytes;
  }
  return at;
}

// Reads batches that lie one behind the other as they should. Whatever else
// lies there, damage or a disk that fails, is left to ReadLog.
class BlockReader {
 public:
  BlockReader(std::shared_ptr<Segment> segment, uint64_t from,
              uint64_t end_offset, size_t bytes_max)
      : segment_(std::move(segment)),
        from_(from),
        end_offset_(end_offset),
        bytes_max_(bytes_max) {}

  // Null: what lies there is not as it should be.
  std::shared_ptr<const LogBlock> Read(uint64_t position) {
    const OpenedFile opened = segment_->File();
    if (!opened.result.ok()) return nullptr;
    block_.file = opened.file;
    block_.read_at = MonotonicNow();
    const uint64_t end = segment_->end_position();
    while (position < end) {
      const uint64_t next = TakeBodies(position, end - position);
      if (!block_.bodies.empty()) {
        block_.end_position = next;
        block_.segment = std::move(segment_);
        return std::make_shared<const LogBlock>(std::move(block_));
      }
      if (next == position) break;
      position = next;
    }
    return nullptr;
  }

 private:
  // Takes the bodies from `position` on, where `bytes_left` may be read. Returns
  // the position of the first batch that it has not passed.
  uint64_t TakeBodies(uint64_t position, uint64_t bytes_left) {
    block_.chunk = Chunk::Make(std::min<uint64_t>(bytes_max_, bytes_left));
    size_t filled = Fill(*block_.file, position, 0, *block_.chunk.get());
    bytes_wanted_ = 0;
    const uint64_t next = Walk({block_.chunk->bytes(), filled}, position);
    if (next != position || bytes_wanted_ <= filled ||
        bytes_wanted_ > bytes_left) {
      return next;
    }
    // A single batch that is larger.
    block_.chunk =
        Chunk::Resize(std::move(block_.chunk), bytes_wanted_, filled);
    filled = Fill(*block_.file, position, filled, *block_.chunk.get());
    return Walk({block_.chunk->bytes(), filled}, position);
  }

  // Takes the bodies in `bytes`, which begin at `position` of the file. Returns
  // the position of the first batch that it has not passed.
  uint64_t Walk(std::string_view bytes, uint64_t position) {
    const uint64_t seed = segment_->seed();
    uint64_t at = position;
    while (at < position + bytes.size()) {
      const DecodedBatchHeader decoded =
          DecodeBatchHeader(bytes.substr(at - position), seed, at);
      const BatchHeader& header = decoded.header;
      if (decoded.fault != HeaderFault::kNone ||
          header.base_offset >= end_offset_) {
        break;
      }
      if (header.count > 0 && header.end_offset() > from_) {
        if (!Follows(header)) break;
        if (header.body_end() > position + bytes.size()) {
          bytes_wanted_ = header.body_end() - at;
          break;
        }
        const std::string_view body =
            bytes.substr(header.body_position() - position, header.body_bytes);
        if (LogHash(body, seed) != header.body_hash) break;
        block_.bodies.push_back(
            {body, header.body_position(), header.base_offset, header.count});
      }
      at = header.end_position();
    }
    return at;
  }

  bool Follows(const BatchHeader& header) const {
    return block_.bodies.empty() ? header.base_offset <= from_
                                 : header.base_offset == block_.end_offset();
  }

  std::shared_ptr<Segment> segment_;
  const uint64_t from_;
  const uint64_t end_offset_;
  const size_t bytes_max_;
  size_t bytes_wanted_ = 0;
  LogBlock block_;
};

// A block of what ReadLog has found whole. Null: the disk could not be read.
std::shared_ptr<const LogBlock> BlockOf(const std::vector<LogExtent>& extents) {
  LogBlock block;
  size_t bytes = 0;
  for (const LogExtent& extent : extents) bytes += extent.bytes;
  block.chunk = Chunk::Make(bytes);
  size_t at = 0;
  for (const LogExtent& extent : extents) {
    char* const out = block.chunk->bytes() + at;
    size_t filled = 0;
    while (filled < extent.bytes) {
      const DiskResult read = extent.file->ReadAt(
          extent.position + filled, out + filled, extent.bytes - filled);
      if (!read.ok() || read.bytes == 0) return nullptr;
      filled += read.bytes;
    }
    block.bodies.push_back(
        {{out, filled}, extent.position, extent.first_offset, extent.count});
    at += filled;
  }
  return std::make_shared<const LogBlock>(std::move(block));
}

std::shared_ptr<const LogBlock> ReadSound(const LogView& view, uint64_t from,
                                          size_t bytes_max,
                                          const LogBlock* before) {
  if (from > view.committed_offset || !view.segments ||
      view.segments->empty() || from < view.segments->front()->base_offset()) {
    return nullptr;
  }
  const size_t index = SegmentIndexOf(*view.segments, from);
  const std::shared_ptr<Segment>& segment = (*view.segments)[index];
  const bool follows = before != nullptr && before->segment == segment &&
                       before->end_offset() == from;
  return BlockReader(segment, from, SegmentEndOffset(view, index), bytes_max)
      .Read(follows ? before->end_position
                    : segment->LocateOffset(from).position);
}

}  // namespace

LogBlockRead ReadLogBlock(const LogView& view, uint64_t from_offset,
                          size_t bytes_max, const LogBlock* before) {
  LogBlockRead result;
  result.block = ReadSound(view, from_offset, bytes_max, before);
  if (result.block) {
    result.outcome = LogReadOutcome::kExtents;
    return result;
  }
  const LogReadResult read = ReadLog(view, from_offset, bytes_max);
  result.outcome = read.outcome;
  result.missing = read.missing;
  if (read.outcome == LogReadOutcome::kExtents) {
    result.block = BlockOf(read.extents);
    if (!result.block) result.outcome = LogReadOutcome::kFailed;
  }
  return result;
}

}  // namespace fifobus
