#include "broker/core/logs/segment_scanner.h"

#include <algorithm>
#include <utility>

namespace fifobus {
namespace {

// A chunk's worth: most batches lie in one window. Not tuned.
constexpr size_t kWindowBytes = size_t{256} << 10;

}  // namespace

std::string_view SegmentScanner::View(uint64_t position, size_t bytes) {
  if (position >= end_position_) return {};
  bytes = std::min<uint64_t>(bytes, end_position_ - position);
  if (position < window_position_ ||
      position + bytes > window_position_ + window_.size()) {
    window_.resize(std::min<uint64_t>(std::max(bytes, kWindowBytes),
                                      end_position_ - position));
    window_position_ = position;
    size_t filled = 0;
    while (filled < window_.size()) {
      const DiskResult read = file_.ReadAt(
          position + filled, window_.data() + filled, window_.size() - filled);
      failed_ = failed_ || !read.ok();
      if (!read.ok() || read.bytes == 0) break;
      filled += read.bytes;
    }
    window_.resize(filled);
  }
  return std::string_view(window_).substr(position - window_position_, bytes);
}

ScanItem SegmentScanner::Next() {
  ScanItem item{ScanItem::Kind::kEnd, position_, position_, {}};
  if (position_ >= end_position_) return item;
  const std::string_view bytes = View(position_, kBatchHeaderBytesMax);
  DecodedBatchHeader decoded = DecodeBatchHeader(bytes, seed_, position_);
  if (failed_) {
    item.kind = ScanItem::Kind::kFailed;
    return item;
  }
  if (decoded.fault != HeaderFault::kNone) return SkipDamage();
  item.kind = ScanItem::Kind::kBatch;
  item.header = std::move(decoded.header);
  position_ = std::min(item.header.end_position(), end_position_);
  item.end_position = position_;
  return item;
}

ScanItem SegmentScanner::SkipDamage() {
  ScanItem item{ScanItem::Kind::kDamage, position_, position_, {}};
  for (position_ += kBatchAlignment; position_ < end_position_;
       position_ += kBatchAlignment) {
    if (!MayBeBatchHeader(View(position_, kBatchHeaderBytesMin))) continue;
    const std::string_view bytes = View(position_, kBatchHeaderBytesMax);
    if (DecodeBatchHeader(bytes, seed_, position_).fault ==
        HeaderFault::kNone) {
      break;
    }
  }
  if (failed_) item.kind = ScanItem::Kind::kFailed;
  position_ = std::min(position_, end_position_);
  item.end_position = position_;
  return item;
}

BodyState SegmentScanner::CheckBody(const BatchHeader& header) {
  if (header.body_end() > end_position_) return BodyState::kDamaged;
  LogHasher hasher(seed_);
  uint64_t position = header.body_position();
  uint64_t left = header.body_bytes;
  while (left > 0) {
    const std::string_view bytes =
        View(position, std::min<uint64_t>(left, kWindowBytes));
    if (failed_) return BodyState::kFailed;
    if (bytes.empty()) return BodyState::kDamaged;
    hasher.Add(bytes);
    position += bytes.size();
    left -= bytes.size();
  }
  return hasher.hash() == header.body_hash ? BodyState::kWhole
                                           : BodyState::kDamaged;
}

}  // namespace fifobus
