#include "broker/core/readers/tail_search.h"

#include <algorithm>
#include <utility>

namespace fifobus {
namespace {

// Messages of the first piece. Not tuned.
constexpr uint64_t kPieceMin = 1024;

}  // namespace

TailSearch::TailSearch(std::shared_ptr<ServedLog> log, size_t worker,
                       const BrokerOptions& options, std::string pattern,
                       uint64_t count)
    : log_(std::move(log)),
      worker_(worker),
      options_(options),
      filter_(std::move(pattern)),
      first_(log_->log().first_offset()),
      wanted_(count),
      piece_(std::max(count, kPieceMin)) {
  const uint64_t end = std::max(log_->committed_offset() + 1, first_);
  BeginPiece(end);
  if (filter_.matches_all() || count == 0) {
    begin_ = end - std::min(count, end - first_);
    at_ = end;
    skip_ = 0;
    matches_ = 1;
  }
}

TailSearch::TailSearch(std::shared_ptr<ServedLog> log, size_t worker,
                       const BrokerOptions& options, std::string pattern,
                       const pb::state::TailSearch& state)
    : log_(std::move(log)),
      worker_(worker),
      options_(options),
      filter_(std::move(pattern)),
      first_(state.first()),
      wanted_(state.wanted()),
      piece_(state.piece()),
      begin_(state.begin()),
      end_(state.end()),
      at_(state.at()),
      matches_(state.matches()),
      skip_(state.skip()) {}

pb::state::TailSearch TailSearch::Export() const {
  pb::state::TailSearch state;
  state.set_first(first_);
  state.set_wanted(wanted_);
  state.set_piece(piece_);
  state.set_begin(begin_);
  state.set_end(end_);
  state.set_at(at_);
  state.set_matches(matches_);
  state.set_skip(skip_);
  return state;
}

TailSearch::Outcome TailSearch::Go() {
  if (log_->readers_held()) return Outcome::kMore;  // the watch is woken
  turn_bytes_ = 0;
  for (;;) {
    if (at_ >= end_ || (skip_ != UINT64_MAX && matches_ > skip_)) {
      if (OnPieceRead()) return Outcome::kFound;
      continue;
    }
    if (turn_bytes_ >= options_.log_turn_bytes) {
      log_->watch(worker_).Wake();
      return Outcome::kMore;
    }
    if (Look() == LogReadOutcome::kFailed) return Outcome::kFailed;
  }
}

LogReadOutcome TailSearch::Look() {
  const LogBlockRead read = log_->blocks(worker_).Read(log_->log(), at_);
  if (read.outcome == LogReadOutcome::kEnd) {
    at_ = end_;
  } else if (!read.block) {
    at_ = std::max(at_, read.missing.last_offset + 1);
  } else {
    turn_bytes_ += read.block->chunk->capacity();
    for (const LogBlock::Body& body : read.block->bodies) {
      std::string_view rest = body.bytes;
      for (uint64_t offset = body.first_offset; offset < body.end_offset();
           ++offset) {
        const StoredUnit unit = FirstStoredUnit(rest);
        rest.remove_prefix(unit.bytes.size());
        if (offset < at_ || offset >= end_ || !filter_.Matches(unit.topic)) {
          continue;
        }
        if (matches_++ == skip_) {
          begin_ = offset;
          return read.outcome;
        }
      }
    }
    at_ = read.block->end_offset();
  }
  return read.outcome;
}

bool TailSearch::OnPieceRead() {
  if (skip_ != UINT64_MAX) return true;
  if (matches_ >= wanted_) {
    skip_ = matches_ - wanted_;
    at_ = begin_;
    matches_ = 0;
    return false;
  }
  if (begin_ <= first_) return true;
  wanted_ -= matches_;
  piece_ *= 2;
  BeginPiece(begin_);
  return false;
}

void TailSearch::BeginPiece(uint64_t end) {
  end_ = end;
  begin_ = end - std::min(piece_, end - first_);
  at_ = begin_;
  matches_ = 0;
}

}  // namespace fifobus
