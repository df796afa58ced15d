#include "broker/core/sessions/pending_answers.h"

#include <algorithm>
#include <utility>

#include "proto/frame_writer.h"

namespace fifobus {
namespace {

std::string NameOf(const ServedLog* log) {
  return log == nullptr ? std::string() : log->name();
}

pb::Confirm::Level LevelOf(const ServedLog& log, uint64_t offset) {
  if (log.committed_offset() >= offset) return pb::Confirm::LEVEL_STORED;
  if (log.written_offset() >= offset) return pb::Confirm::LEVEL_WRITTEN;
  return pb::Confirm::LEVEL_ACCEPTED;
}

}  // namespace

PendingAnswers::PendingAnswers(size_t answers_max, size_t worker,
                               Answers& answers, OnProgress on_progress)
    : answers_max_(answers_max),
      worker_(worker),
      answers_(answers),
      on_progress_(std::move(on_progress)) {}

void PendingAnswers::NoteAppended(ServedLog& log, uint64_t offset) {
  for (Progress& progress : progress_) {
    if (progress.log != &log) continue;
    progress.offset = std::max(progress.offset, offset);
    return;
  }
  progress_.push_back({&log, offset});
}

void PendingAnswers::NoteNotStored(pb::Confirm::Failure failure) {
  not_stored_ = failure;
}

void PendingAnswers::AddConfirm(const PendingConfirm& confirm) {
  Push(Kind::kConfirm, confirm);
}

void PendingAnswers::AddPong(uint64_t token, pb::Confirm::Level level) {
  PendingConfirm answer;
  answer.level = level;
  for (const Progress& progress : progress_) {
    answer.log = progress.log;
    answer.stored_offset = progress.offset;
    Push(Kind::kPongPart, answer);
  }
  answer.log = nullptr;
  answer.confirm_id = token;
  answer.failure = std::exchange(not_stored_, pb::Confirm::FAILURE_NONE);
  Push(Kind::kPong, answer);
}

PendingAnswers::Reached PendingAnswers::Reach(const PendingConfirm& answer) {
  Reached reached;
  if (answer.level <= pb::Confirm::LEVEL_ACCEPTED) return reached;
  reached.failure = answer.failure;
  if (answer.log == nullptr) return reached;
  // Asked first: once it has failed the offsets do not change.
  const bool failed = answer.log->failed();
  reached.level = LevelOf(*answer.log, answer.stored_offset);
  if (reached.level >= answer.level) {
    reached.level = answer.level;
  } else if (failed) {
    reached.failure = pb::Confirm::FAILURE_LOG_FAILED;
  } else {
    reached.due = false;
  }
  return reached;
}

void PendingAnswers::Push(Kind kind, const PendingConfirm& answer) {
  if (waiting_.empty()) {
    const Reached reached = Reach(answer);
    if (reached.due) return Encode({kind, answer}, reached);
  }
  has_waited_ = true;
  waiting_.push_back({kind, answer});
}

void PendingAnswers::TakeDue() {
  while (!waiting_.empty()) {
    const Reached reached = Reach(waiting_.front().answer);
    if (!reached.due) return;
    Encode(waiting_.front(), reached);
    waiting_.pop_front();
  }
}

void PendingAnswers::Encode(const Waiting& waiting, const Reached& reached) {
  const PendingConfirm& answer = waiting.answer;
  pb::Frame frame;
  switch (waiting.kind) {
    case Kind::kPongPart:
      pong_.level = std::min(pong_.level, reached.level);
      if (reached.failure != pb::Confirm::FAILURE_NONE) {
        pong_.failure = reached.failure;
      }
      return;
    case Kind::kPong: {
      if (answer.failure != pb::Confirm::FAILURE_NONE) {
        pong_ = {true, pb::Confirm::LEVEL_ACCEPTED, answer.failure};
      }
      pb::Pong& pong = *frame.mutable_pong();
      pong.set_token(answer.confirm_id);
      pong.set_level(std::min(pong_.level, answer.level));
      pong.set_failure(pong_.failure);
      pong_ = {true, pb::Confirm::LEVEL_STORED, pb::Confirm::FAILURE_NONE};
      break;
    }
    case Kind::kConfirm: {
      pb::Confirm& confirm = *frame.mutable_confirm();
      confirm.set_confirm_id(answer.confirm_id);
      confirm.set_level(reached.level);
      confirm.set_sessions(answer.sessions);
      confirm.set_taps(answer.taps);
      confirm.set_retained(answer.retained);
      confirm.set_offset(answer.offset);
      confirm.set_duplicate(answer.duplicate);
      confirm.set_failure(reached.failure);
      break;
    }
  }
  AppendFrame(frame, due_);
}

FeedOutcome PendingAnswers::Send() {
  TakeDue();
  while (!waiting_.empty() && watched_ != waiting_.front().answer.log) {
    // What comes before the watch is in place is not told.
    Watch(waiting_.front().answer.log);
    TakeDue();
  }
  if (waiting_.empty()) Watch(nullptr);
  LimitWaiting();
  if (due_.empty()) return FeedOutcome::kContinue;
  return answers_.SendFrames(std::exchange(due_, {}));
}

void PendingAnswers::OnLogProgress() { on_progress_(Send()); }

void PendingAnswers::Watch(ServedLog* log) {
  if (watched_ == log) return;
  if (watched_ != nullptr) watched_->watch(worker_).Remove(*this);
  watched_ = log;
  if (watched_ != nullptr) watched_->watch(worker_).Add(*this);
}

void PendingAnswers::LimitWaiting() {
  if (!valve_) return;
  if (!paused_ && waiting_.size() > answers_max_) {
    paused_ = true;
    valve_->Pause();
  } else if (paused_ && waiting_.size() <= answers_max_ / 2) {
    paused_ = false;
    valve_->Resume();
  }
}

pb::state::PendingAnswers PendingAnswers::Export() const {
  static_assert(static_cast<int>(Kind::kPong) ==
                pb::state::PendingAnswers::KIND_PONG);
  pb::state::PendingAnswers state;
  for (const Waiting& waiting : waiting_) {
    const PendingConfirm& answer = waiting.answer;
    pb::state::PendingAnswers::Waiting& one = *state.add_waiting();
    one.set_kind(static_cast<pb::state::PendingAnswers::Kind>(waiting.kind));
    one.set_confirm_id(answer.confirm_id);
    one.set_level(answer.level);
    one.set_sessions(answer.sessions);
    one.set_taps(answer.taps);
    one.set_retained(answer.retained);
    one.set_duplicate(answer.duplicate);
    one.set_offset(answer.offset);
    one.set_log(NameOf(answer.log));
    one.set_stored_offset(answer.stored_offset);
    one.set_failure(answer.failure);
  }
  for (const Progress& progress : progress_) {
    pb::state::PendingAnswers::Progress& one = *state.add_progress();
    one.set_log(progress.log->name());
    one.set_offset(progress.offset);
  }
  state.set_due(due_);
  state.set_not_stored(not_stored_);
  state.set_pong_level(pong_.level);
  state.set_pong_failure(pong_.failure);
  state.set_has_waited(has_waited_);
  return state;
}

void PendingAnswers::Restore(const pb::state::PendingAnswers& state,
                             const LogTable& logs) {
  for (const pb::state::PendingAnswers::Waiting& one : state.waiting()) {
    PendingConfirm answer;
    answer.confirm_id = one.confirm_id();
    answer.level = one.level();
    answer.sessions = one.sessions();
    answer.taps = one.taps();
    answer.retained = one.retained();
    answer.duplicate = one.duplicate();
    answer.offset = one.offset();
    answer.log = logs.Find(one.log()).get();
    answer.stored_offset = one.stored_offset();
    answer.failure = one.failure();
    if (answer.log == nullptr && !one.log().empty()) {
      answer.failure = pb::Confirm::FAILURE_LOG_FAILED;
    }
    waiting_.push_back({static_cast<Kind>(one.kind()), answer});
  }
  for (const pb::state::PendingAnswers::Progress& one : state.progress()) {
    const auto log = logs.Find(one.log());
    if (log) progress_.push_back({log.get(), one.offset()});
  }
  due_ = state.due();
  not_stored_ = state.not_stored();
  pong_.level = state.pong_level();
  pong_.failure = state.pong_failure();
  has_waited_ = state.has_waited();
}

void PendingAnswers::Forget() {
  waiting_.clear();
  due_.clear();
  Watch(nullptr);
  LimitWaiting();
}

}  // namespace fifobus
