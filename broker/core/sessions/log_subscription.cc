#include "broker/core/sessions/log_subscription.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/time/time.h"
#include "broker/core/groups/log_group_source.h"
#include "fmt/format.h"

namespace fifobus {
namespace {

absl::Time TimeOf(uint64_t unix_nanos) {
  constexpr uint64_t kMost = std::numeric_limits<int64_t>::max();
  return absl::FromUnixNanos(static_cast<int64_t>(std::min(unix_nanos, kMost)));
}

std::string FencedText(const std::string& durable) {
  return fmt::format("another session reads as the durable reader {} now",
                     durable);
}

}  // namespace

LogSubscription::LogSubscription(const LogReading& reading,
                                 std::shared_ptr<ServedLog> log, bool whole,
                                 const pb::Subscribe& subscribe,
                                 const AckRule& rule, OnTurn on_turn)
    : reading_(reading),
      log_(std::move(log)),
      request_id_(subscribe.request_id()),
      pattern_(subscribe.pattern()),
      filter_(whole ? std::string() : subscribe.pattern()),
      durable_(subscribe.durable()),
      group_(subscribe.group()),
      rule_(rule),
      start_(subscribe.has_start() ? std::optional(subscribe.start())
                                   : std::nullopt),
      until_now_(subscribe.until_now()),
      on_turn_(std::move(on_turn)),
      target_(reading.egress) {}

FeedOutcome LogSubscription::Begin() {
  Watch();
  if (!durable_.empty()) {
    std::shared_ptr<DurableReader> reader = log_->readers().Find(durable_);
    if (reader) return TakeReader(std::move(reader));
  }
  pb::Start first;
  first.set_first(true);
  return BeginAt(start_.value_or(first));
}

pb::state::LogSubscription LogSubscription::Export() const {
  pb::state::LogSubscription state;
  state.set_log(log_->name());
  state.set_request_id(request_id_);
  state.set_pattern(pattern_);
  state.set_whole(filter_.empty());
  state.set_durable(durable_);
  state.set_group(group_);
  *state.mutable_rule() = rule_.Export();
  state.set_until_now(until_now_);
  static_assert(static_cast<int>(Phase::kSearching) ==
                pb::state::LogSubscription::PHASE_SEARCHING);
  static_assert(static_cast<int>(Phase::kStopped) ==
                pb::state::LogSubscription::PHASE_STOPPED);
  state.set_phase(static_cast<pb::state::LogSubscription::Phase>(phase_));
  if (search_) *state.mutable_search() = search_->Export();
  if (cursor_) *state.mutable_cursor() = cursor_->Export();
  state.set_uses_reader(reader_ != nullptr);
  state.set_fenced(fenced_ && fenced_->load());
  state.set_settled(settled_);
  return state;
}

void LogSubscription::Restore(const pb::state::LogSubscription& state) {
  phase_ = static_cast<Phase>(state.phase());
  settled_ = state.settled();
  if (state.has_search()) {
    search_.emplace(log_, reading_.worker, reading_.options, filter_,
                    state.search());
  }
  if (state.has_cursor()) {
    cursor_.emplace(log_, reading_.worker, reading_.options, target_,
                    LogRange{filter_});
    cursor_->Restore(state.cursor());
  }
  if (state.uses_reader()) {
    std::shared_ptr<DurableReader> reader = log_->readers().Find(durable_);
    if (state.fenced()) {
      reader_ = std::move(reader);
      fenced_ = std::make_shared<std::atomic<bool>>(true);
    } else if (reader) {
      UseReader(std::move(reader));
    }
    if (!reader_) phase_ = Phase::kStopped;  // somebody has forgotten it
  }
  if (phase_ == Phase::kStopped) return;
  if (phase_ == Phase::kReading && durable_.empty()) log_->NoteReplayReader(1);
  Watch();
  log_->watch(reading_.worker).Wake();
}

FeedOutcome LogSubscription::Refuse(pb::Error::Code code, std::string text) {
  End();
  return reading_.answers.Refuse(request_id_, code, std::move(text));
}

FeedOutcome LogSubscription::BeginAt(const pb::Start& start) {
  const uint64_t next = log_->log().next_offset();
  switch (start.at_case()) {
    case pb::Start::kFirst:
      return OnStart(log_->log().first_offset());
    case pb::Start::kNext:
      return OnStart(next);
    case pb::Start::kOffset:
      if (start.offset() >= 1 && start.offset() <= next) {
        return OnStart(start.offset());
      }
      return Refuse(pb::Error::CODE_BAD_START,
                    fmt::format("the offset {} is none of the log {}: the "
                                "first is 1 and the next will be {}",
                                start.offset(), log_->name(), next));
    case pb::Start::kTimeUnixNanos: {
      const auto found =
          log_->log().FindOffset(TimeOf(start.time_unix_nanos()));
      if (found) return OnStart(*found);
      return Refuse(pb::Error::CODE_LOG_FAILED,
                    fmt::format("the log {} cannot be read; the broker's log "
                                "says why",
                                log_->name()));
    }
    case pb::Start::kLast:
      search_.emplace(log_, reading_.worker, reading_.options, filter_,
                      start.last());
      phase_ = Phase::kSearching;
      return Search();
    case pb::Start::AT_NOT_SET:
      break;
  }
  return Refuse(pb::Error::CODE_BAD_START,
                "the start names no place: set first, offset, last, time or "
                "next");
}

FeedOutcome LogSubscription::Search() {
  switch (search_->Go()) {
    case TailSearch::Outcome::kFound:
      return OnStart(search_->offset());
    case TailSearch::Outcome::kMore:
      break;
    case TailSearch::Outcome::kFailed:
      log_->watch(reading_.worker).WakeAfter(reading_.options.log_read_retry);
      break;
  }
  return FeedOutcome::kContinue;
}

FeedOutcome LogSubscription::OnStart(uint64_t offset) {
  search_.reset();
  return durable_.empty() ? Answer(offset, {}) : OpenReader(offset);
}

FeedOutcome LogSubscription::OpenReader(uint64_t offset) {
  ReaderTable::Opened opened =
      log_->readers().Open(durable_, pattern_, group_, offset);
  if (opened.outcome == ReaderTable::OpenOutcome::kTooMany) {
    return Refuse(pb::Error::CODE_LIMIT,
                  fmt::format("the log {} may have {} durable readers; forget "
                              "one with fifobus log",
                              log_->name(), reading_.options.log_readers_max));
  }
  return TakeReader(std::move(opened.reader));
}

FeedOutcome LogSubscription::TakeReader(std::shared_ptr<DurableReader> reader) {
  if (reader->pattern() != pattern_) {
    return Refuse(pb::Error::CODE_BAD_DURABLE,
                  fmt::format("the durable reader {} reads {}: name another "
                              "one for {}",
                              durable_, reader->pattern(), pattern_));
  }
  if (reader->group() != group_) {
    return Refuse(
        pb::Error::CODE_BAD_DURABLE,
        reader->group().empty()
            ? fmt::format("the durable reader {} is that of no group", durable_)
            : fmt::format("the durable reader {} is that of the group {}",
                          durable_, reader->group()));
  }
  UseReader(std::move(reader));
  phase_ = Phase::kStoring;
  return AwaitStored();
}

void LogSubscription::UseReader(std::shared_ptr<DurableReader> reader) {
  reader_ = std::move(reader);
  if (!group_.empty()) {
    use_ = reader_->Join({reading_.session});
    return;
  }
  fenced_ = std::make_shared<std::atomic<bool>>(false);
  use_ = reader_->Take(
      {reading_.session,
       [fenced = fenced_, fence = reading_.fence, text = FencedText(durable_)] {
         fenced->store(true);
         if (fence) fence(text);
       }});
}

void LogSubscription::Watch() {
  log_->watch(reading_.worker).Add(*this);
  log_->blocks(reading_.worker).AddReader();
  reading_.rooms.Add(*this);
  watching_ = true;
}

FeedOutcome LogSubscription::AwaitStored() {
  if (!reader_->stored()) return FeedOutcome::kContinue;
  return Answer(reader_->position(), reader_->done_above());
}

FeedOutcome LogSubscription::JoinGroup(uint64_t offset) {
  Stop();  // and what is stopped does not watch the log
  std::shared_ptr<void> use(
      nullptr, [reader = reader_, use = use_](void*) { reader->Leave(use); });
  const std::shared_ptr<Group> group = reading_.memberships.JoinLogged(
      {pattern_, group_, log_->name(), durable_}, rule_,
      [&](GroupHost& host) {
        return LogGroupSource::Make(reading_.options, host, log_, filter_,
                                    reader_);
      },
      std::move(use));
  reader_.reset();
  if (!group) {
    return Refuse(pb::Error::CODE_BAD_DURABLE,
                  fmt::format("the group {} acknowledges in another way: all "
                              "members name the same acks",
                              group_));
  }
  const FeedOutcome outcome = SendSubscribed(offset);
  group->OnJoined();
  return outcome;
}

FeedOutcome LogSubscription::Answer(uint64_t offset, OffsetSet done) {
  if (!group_.empty()) return JoinGroup(offset);
  phase_ = Phase::kReading;
  if (durable_.empty()) log_->NoteReplayReader(1);
  LogRange range{filter_, offset};
  range.until = log_->committed_offset() + 1;
  range.done = std::move(done);
  cursor_.emplace(log_, reading_.worker, reading_.options, target_,
                  std::move(range));
  const FeedOutcome outcome = SendSubscribed(offset);
  return outcome == FeedOutcome::kClose ? outcome : Turn();
}

FeedOutcome LogSubscription::SendSubscribed(uint64_t offset) {
  pb::Frame frame;
  pb::Subscribed& subscribed = *frame.mutable_subscribed();
  subscribed.set_request_id(request_id_);
  subscribed.set_log(log_->name());
  subscribed.set_next_offset(offset);
  return reading_.answers.Send(frame);
}

FeedOutcome LogSubscription::Turn() {
  wants_room_ = false;
  LogTurn turn = cursor_->Go();
  NotePassed();
  if (turn == LogTurn::kReached) {
    const FeedOutcome outcome = SayCaughtUp();
    if (outcome == FeedOutcome::kClose || ended()) return outcome;
    cursor_->SetUntil(UINT64_MAX);
    turn = cursor_->Go();
    NotePassed();
  }
  wants_room_ = turn == LogTurn::kNoRoom;
  return FeedOutcome::kContinue;
}

FeedOutcome LogSubscription::SayCaughtUp() {
  pb::Frame frame;
  frame.mutable_caught_up()->set_request_id(request_id_);
  frame.mutable_caught_up()->set_next_offset(cursor_->position());
  const FeedOutcome outcome = reading_.answers.Send(frame);
  if (until_now_) End();
  return outcome;
}

// What is not the pattern's, or not there, is done with what comes before it.
void LogSubscription::NotePassed() {
  if (!reader_ || fenced_->load() || settled_ < cursor_->last_taken()) return;
  reader_->SettleUpTo(cursor_->position() - 1);
}

void LogSubscription::Settle(uint64_t up_to_offset) {
  // A client knows no offset beyond those, unless the reader was put elsewhere.
  if (!reader_ || fenced_->load() || !cursor_ ||
      up_to_offset > cursor_->last_taken()) {
    return;
  }
  settled_ = std::max(settled_, up_to_offset);
  reader_->SettleUpTo(up_to_offset);
  NotePassed();
}

void LogSubscription::Stop() {
  if (!std::exchange(watching_, false)) return;
  log_->watch(reading_.worker).Remove(*this);
  log_->blocks(reading_.worker).RemoveReader();
  reading_.rooms.Remove(*this);
  if (phase_ == Phase::kReading && durable_.empty()) log_->NoteReplayReader(-1);
  phase_ = Phase::kStopped;
}

void LogSubscription::End() {
  Stop();
  phase_ = Phase::kEnded;
  if (reader_) reader_->Leave(use_);
  reader_.reset();
}

FeedOutcome LogSubscription::GoOn() {
  switch (phase_) {
    case Phase::kSearching:
      return Search();
    case Phase::kStoring:
      return AwaitStored();
    case Phase::kReading:
      return Turn();
    default:
      return FeedOutcome::kContinue;
  }
}

void LogSubscription::OnLogProgress() {
  if (wants_room_) return;
  const FeedOutcome outcome = GoOn();
  if (outcome == FeedOutcome::kClose || ended()) on_turn_(*this, outcome);
}

void LogSubscription::OnRoom() {
  if (!wants_room_) return;
  const FeedOutcome outcome = GoOn();
  if (outcome == FeedOutcome::kClose || ended()) on_turn_(*this, outcome);
}

}  // namespace fifobus
