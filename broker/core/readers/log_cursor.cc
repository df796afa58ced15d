#include "broker/core/readers/log_cursor.h"

#include <algorithm>
#include <utility>

#include "broker/base/check.h"
#include "broker/base/clock.h"
#include "broker/base/log.h"
#include "proto/frame.pb.h"
#include "proto/frame_writer.h"

namespace fifobus {

LogCursor::LogCursor(std::shared_ptr<ServedLog> log, size_t worker,
                     const BrokerOptions& options, LogTarget& target,
                     LogRange range)
    : log_(std::move(log)),
      worker_(worker),
      options_(options),
      target_(target),
      filter_(std::move(range.pattern)),
      done_(std::move(range.done)),
      position_(range.from),
      until_(range.until) {}

pb::state::LogCursor LogCursor::Export() const {
  pb::state::LogCursor state;
  state.set_position(position_);
  state.set_until(until_);
  state.set_last_taken(last_taken_);
  *state.mutable_done() = done_.Export();
  return state;
}

void LogCursor::Restore(const pb::state::LogCursor& state) {
  position_ = state.position();
  until_ = state.until();
  last_taken_ = state.last_taken();
  done_ = OffsetSet::Restore(state.done());
}

LogTurn LogCursor::Go() {
  if (log_->readers_held()) return LogTurn::kEnd;  // the watch is woken
  size_t bytes = 0;
  while (position_ < until_) {
    if (bytes >= options_.log_turn_bytes) {
      log_->watch(worker_).Wake();
      return LogTurn::kMore;
    }
    const LogBlockRead read =
        log_->blocks(worker_).Read(log_->log(), position_);
    switch (read.outcome) {
      case LogReadOutcome::kEnd:
        return LogTurn::kEnd;
      case LogReadOutcome::kFailed:
        return Fail();
      case LogReadOutcome::kTrimmed:
      case LogReadOutcome::kDamaged:
        if (!OfferGap(read.outcome, read.missing)) return LogTurn::kNoRoom;
        break;
      case LogReadOutcome::kExtents:
        if (!OfferBlock(read.block)) return LogTurn::kNoRoom;
        bytes += read.block->chunk->capacity();
        break;
    }
  }
  return LogTurn::kReached;
}

bool LogCursor::OfferBlock(const std::shared_ptr<const LogBlock>& block) {
  slices_.clear();
  positions_.clear();
  const bool goes_on = stopped_at_ != nullptr && stopped_block_.lock() == block;
  bool first = true;
  for (const LogBlock::Body& body : block->bodies) {
    if (body.end_offset() <= position_) continue;
    if (body.first_offset >= until_) break;
    size_t at = 0;
    if (std::exchange(first, false) && body.first_offset < position_) {
      at = goes_on ? static_cast<size_t>(stopped_at_ - body.bytes.data())
                   : FindPosition(body);
    }
    Gather(body, at);
  }
  stopped_at_ = nullptr;
  size_t taken = 0;
  if (!slices_.empty()) {
    taken = MayTakeFromFile(*block)
                ? target_.OfferStored(slices_, {block->file.get(), positions_})
                : target_.Offer(slices_);
  }
  if (taken < TotalBytes(slices_)) {
    StopAt(block, taken);
    return false;
  }
  if (!slices_.empty()) last_taken_ = last_gathered_;
  position_ = std::min(block->end_offset(), until_);
  done_.RemoveUpTo(position_ - 1);
  return true;
}

bool LogCursor::MayTakeFromFile(const LogBlock& block) const {
  return block.file != nullptr &&
         TotalBytes(slices_) >=
             slices_.size() * options_.log_splice_bytes_min &&
         MonotonicNow() - block.read_at < options_.log_splice_age_max;
}

size_t LogCursor::FindPosition(const LogBlock::Body& body) const {
  size_t at = 0;
  for (uint64_t offset = body.first_offset; offset < position_; ++offset) {
    at += FirstStoredUnit(body.bytes.substr(at)).bytes.size();
  }
  return at;
}

void LogCursor::Gather(const LogBlock::Body& body, size_t at) {
  if (!filter_.matches_all() || !done_.empty() || until_ < body.end_offset()) {
    return GatherMatching(body, at);
  }
  const uint64_t from = std::max(body.first_offset, position_);
  AddSlice(body, body.bytes.substr(at), body.end_offset() - 1,
           static_cast<uint32_t>(body.end_offset() - from));
}

void LogCursor::GatherMatching(const LogBlock::Body& body, size_t at) {
  uint64_t offset = std::max(body.first_offset, position_);
  for (; offset < std::min(body.end_offset(), until_); ++offset) {
    const StoredUnit unit = FirstStoredUnit(body.bytes.substr(at));
    at += unit.bytes.size();
    if (filter_.Matches(unit.topic) && !done_.Contains(offset)) {
      AddSlice(body, unit.bytes, offset, 1);
    }
  }
}

void LogCursor::AddSlice(const LogBlock::Body& body, std::string_view bytes,
                         uint64_t offset, uint32_t messages) {
  last_gathered_ = offset;
  if (!slices_.empty() &&
      slices_.back().bytes + slices_.back().size == bytes.data()) {
    slices_.back().size += bytes.size();
    slices_.back().messages += messages;
    return;
  }
  slices_.push_back({bytes.data(), bytes.size(), 0, messages});
  positions_.push_back(body.position +
                       static_cast<size_t>(bytes.data() - body.bytes.data()));
}

void LogCursor::StopAt(const std::shared_ptr<const LogBlock>& block,
                       size_t taken) {
  absl::Span<const Slice> rest(slices_);
  const size_t in_slice = SkipWritten(taken, rest);
  FIFOBUS_CHECK(!rest.empty());
  stopped_block_ = block;
  stopped_at_ = rest.front().bytes + in_slice;
  position_ = StoredOffset({stopped_at_, rest.front().size - in_slice});
  if (taken > 0) last_taken_ = position_ - 1;
  done_.RemoveUpTo(position_ - 1);
}

bool LogCursor::OfferGap(LogReadOutcome outcome, const MissingRange& missing) {
  const uint64_t end = std::min(missing.last_offset + 1, until_);
  pb::Frame frame;
  pb::Gap& gap = *frame.mutable_gap();
  gap.set_reason(outcome == LogReadOutcome::kTrimmed ? pb::Gap::REASON_TRIMMED
                                                     : pb::Gap::REASON_DAMAGED);
  gap.set_messages(end - position_);
  std::string bytes;
  AppendFrame(frame, bytes);
  const Slice slice{bytes.data(), bytes.size(), 0, /*messages=*/0};
  if (target_.Offer({&slice, 1}) < bytes.size()) return false;
  position_ = end;
  done_.RemoveUpTo(position_ - 1);
  return true;
}

LogTurn LogCursor::Fail() {
  if (const auto failures = failures_.Count()) {
    LogWarning("log not read; it is tried again", {{"log", log_->name()},
                                                   {"offset", position_},
                                                   {"failures", *failures}});
  }
  log_->watch(worker_).WakeAfter(options_.log_read_retry);
  return LogTurn::kFailed;
}

}  // namespace fifobus
