#include "clients/cpp/internal/confirms.h"

#include <algorithm>
#include <utility>

#include "fmt/format.h"
#include "proto/frame.h"

namespace fifobus {

Level LevelFrom(pb::Confirm::Level level) {
  switch (level) {
    case pb::Confirm::LEVEL_UNSPECIFIED:
      return Level::kNone;
    case pb::Confirm::LEVEL_WRITTEN:
      return Level::kWritten;
    case pb::Confirm::LEVEL_STORED:
      return Level::kStored;
    default:
      return Level::kAccepted;
  }
}

ConfirmFailure FailureFrom(pb::Confirm::Failure failure) {
  switch (failure) {
    case pb::Confirm::FAILURE_NONE:
      return ConfirmFailure::kNone;
    case pb::Confirm::FAILURE_NO_LOG:
      return ConfirmFailure::kNoLog;
    case pb::Confirm::FAILURE_LOG_FAILED:
      return ConfirmFailure::kLogFailed;
    case pb::Confirm::FAILURE_TOO_MANY_PUBLISHERS:
      return ConfirmFailure::kTooManyPublishers;
    default:
      return ConfirmFailure::kUnknown;
  }
}

Confirmation ConfirmationFrom(const pb::Confirm& confirm) {
  Confirmation confirmation;
  confirmation.confirm_id = confirm.confirm_id();
  confirmation.level = LevelFrom(confirm.level());
  confirmation.sessions = confirm.sessions();
  confirmation.taps = confirm.taps();
  confirmation.retained = confirm.retained();
  confirmation.failure = FailureFrom(confirm.failure());
  confirmation.duplicate = confirm.duplicate();
  confirmation.offset = confirm.offset();
  return confirmation;
}

absl::Status CheckReached(std::string_view subject, Level asked, Level reached,
                          ConfirmFailure failure) {
  if (reached >= asked) return absl::OkStatus();
  const std::string text =
      fmt::format("{} not stored: {}", subject, ConfirmFailureText(failure));
  switch (failure) {
    case ConfirmFailure::kNone:
      return absl::FailedPreconditionError(
          "the broker does not say that it has reached that level; it is older "
          "than this client");
    case ConfirmFailure::kNoLog:
      return absl::FailedPreconditionError(text);
    case ConfirmFailure::kTooManyPublishers:
      return absl::ResourceExhaustedError(text);
    case ConfirmFailure::kLogFailed:
    case ConfirmFailure::kUnknown:
      break;
  }
  return absl::DataLossError(text);
}

void Confirms::Keep(uint64_t confirm_id, uint64_t session, std::string frame) {
  kept_bytes_ += frame.size();
  awaited_.push_back({confirm_id, session, std::make_unique<Kept>()});
  awaited_.back().kept->frame = std::move(frame);
}

void Confirms::Release(Kept& kept) {
  kept_bytes_ -= kept.frame.size();
  kept.frame = std::string();
}

void Confirms::Move(const std::set<uint64_t>& confirm_ids, uint64_t session) {
  if (confirm_ids.empty()) return;
  for (Awaited& awaited : awaited_) {
    // An id may have been used in an earlier session as well.
    if (awaited.session + 1 == session &&
        confirm_ids.contains(awaited.confirm_id)) {
      awaited.session = session;
    }
  }
}

void Confirms::SendAgain(uint64_t session, std::string_view taken_back,
                         std::string& out) {
  for (Awaited& awaited : awaited_) {
    if (awaited.kept == nullptr || awaited.kept->answer) continue;
    awaited.session = session;
    const std::string_view kept = awaited.kept->frame;
    while (!taken_back.empty()) {
      const std::string_view frame = taken_back.substr(
          0, FindFrame(taken_back, taken_back.size()).frame_bytes);
      const uint64_t other = ReadMessageFrame(frame).sequence;
      const uint64_t sequence = ReadMessageFrame(kept).sequence;
      if (other > sequence) break;
      if (other < sequence) out += frame;
      taken_back.remove_prefix(frame.size());
    }
    out += kept;
  }
  out += taken_back;
}

uint64_t Confirms::CountToSendAgain(
    const std::set<uint64_t>& taken_back) const {
  uint64_t count = 0;
  for (const Awaited& awaited : awaited_) {
    count += awaited.kept != nullptr && !awaited.kept->answer &&
             !taken_back.contains(awaited.confirm_id);
  }
  return count;
}

void Confirms::OnReadAhead(const Confirmation& answer, uint64_t session) {
  for (size_t i = read_ahead_; i < awaited_.size(); ++i) {
    Awaited& awaited = awaited_[i];
    if (awaited.session < session || awaited.confirm_id >= kOwnIds) continue;
    if (awaited.confirm_id != answer.confirm_id) return;
    read_ahead_ = i + 1;
    if (awaited.kept == nullptr) return;
    Release(*awaited.kept);
    awaited.kept->answer = answer;
    return;
  }
}

Confirms::Match Confirms::OnConfirm(uint64_t confirm_id) {
  if (awaited_.empty() || awaited_.front().confirm_id != confirm_id) {
    return Match::kUnknown;
  }
  if (awaited_.front().kept != nullptr) Release(*awaited_.front().kept);
  awaited_.pop_front();
  if (read_ahead_ > 0) --read_ahead_;
  return Match::kAwaited;
}

void Confirms::OnOwnConfirm(uint64_t confirm_id) {
  if (!keeps()) return;
  const auto own = std::find_if(
      awaited_.begin(), awaited_.end(),
      [&](const Awaited& awaited) { return awaited.confirm_id == confirm_id; });
  if (own == awaited_.end()) return;
  Release(*own->kept);
  if (static_cast<size_t>(own - awaited_.begin()) < read_ahead_) --read_ahead_;
  awaited_.erase(own);
}

void Confirms::OnSessionOver(uint64_t session, Next next) {
  std::deque<Awaited> left;
  size_t passed = 0;  // of those before read_ahead_
  for (size_t i = 0; i < awaited_.size(); ++i) {
    Awaited& awaited = awaited_[i];
    const bool answered = awaited.kept != nullptr && awaited.kept->answer;
    const bool sent_again =
        awaited.kept != nullptr && !answered && next == Next::kSession;
    if (awaited.session >= session || sent_again) {
      left.push_back(std::move(awaited));
      continue;
    }
    if (i < read_ahead_) ++passed;
    if (awaited.kept != nullptr) Release(*awaited.kept);
    if (awaited.confirm_id >= kOwnIds) continue;
    lost_.emplace_back().confirm_id = awaited.confirm_id;
    if (answered) lost_.back() = *awaited.kept->answer;
  }
  awaited_ = std::move(left);
  read_ahead_ -= passed;
}

std::optional<Confirmation> Confirms::TakeLost() {
  if (lost_.empty()) return std::nullopt;
  const Confirmation lost = lost_.front();
  lost_.pop_front();
  return lost;
}

}  // namespace fifobus
