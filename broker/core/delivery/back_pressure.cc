#include "broker/core/delivery/back_pressure.h"

#include <algorithm>
#include <utility>

#include "broker/base/check.h"
#include "broker/base/clock.h"
#include "broker/state/delivery_state.pb.h"

namespace fifobus {

// A look at the clock only when a full pipe has taken a part.
void BackPressure::OnWritten(Taken taken) {
  if (taken == Taken::kAll) {
    full_since_ = absl::InfiniteDuration();
  } else if (taken == Taken::kPart || full_since_ == absl::InfiniteDuration()) {
    full_since_ = MonotonicNow();
  }
}

absl::Duration BackPressure::StuckFor() const {
  if (full_since_ == absl::InfiniteDuration()) return absl::ZeroDuration();
  return MonotonicNow() - full_since_;
}

bool BackPressure::IsStuck() const {
  return full_since_ != absl::InfiniteDuration() &&
         StuckFor() >= stall_timeout_;
}

BackPressure::Reaction BackPressure::OnFull(const std::shared_ptr<Valve>& valve,
                                            Overflow overflow,
                                            bool reader_gone) {
  if (stalled()) return Reaction::kMakeRoom;
  if (valve == nullptr) return Reaction::kNothing;
  if (overflow == Overflow::kBlock) {
    Pause(valve);
    return Reaction::kNothing;
  }
  if (reader_gone || valve == own_valve_ || IsStuck()) return Reaction::kStall;
  Pause(valve);
  return StartClock();
}

BackPressure::Timeout BackPressure::OnTimeout(Overflow overflow) {
  clock_runs_ = false;
  if (ending()) return Timeout::kEnd;
  if (paused_.empty() || overflow == Overflow::kBlock) {
    return Timeout::kNothing;
  }
  if (clock_spell_ == spell_) return Timeout::kStall;
  (void)StartClock();
  return Timeout::kStartClock;
}

BackPressure::Valves BackPressure::OnBelowHalf() {
  if (ending()) return {};
  ++spell_;
  phase_ = Phase::kFlowing;
  return ReleaseAll();
}

BackPressure::Valves BackPressure::Stall() {
  ++stalls_;
  phase_ = Phase::kStalled;
  return ReleaseAll();
}

BackPressure::Reaction BackPressure::BeginEnd() {
  phase_ = Phase::kEnding;
  return StartClock();
}

bool BackPressure::ReasonIsDue() {
  if (phase_ != Phase::kEnding) return false;
  phase_ = Phase::kReasonSaid;
  return true;
}

BackPressure::Valves BackPressure::ReleaseAll() {
  return std::exchange(paused_, {});
}

pb::state::BackPressure BackPressure::Export(
    const StateIngresses& ingresses) const {
  pb::state::BackPressure state;
  state.set_phase(static_cast<pb::state::BackPressure::Phase>(
      static_cast<int>(phase_) + pb::state::BackPressure::PHASE_FLOWING));
  for (const std::shared_ptr<Valve>& valve : paused_) {
    const uint64_t number = ingresses.NumberOf(*valve);
    if (number != 0) state.add_paused(number);
  }
  state.set_stalls(stalls_);
  if (full_since_ != absl::InfiniteDuration()) {
    state.set_full_since_nanos(absl::ToInt64Nanoseconds(full_since_));
  }
  state.set_clock_runs(clock_runs_);
  state.set_spell(spell_);
  state.set_clock_spell(clock_spell_);
  return state;
}

BackPressure::Reaction BackPressure::Restore(
    const pb::state::BackPressure& state) {
  const int phase = state.phase() - pb::state::BackPressure::PHASE_FLOWING;
  FIFOBUS_CHECK(phase >= 0 && phase <= static_cast<int>(Phase::kReasonSaid));
  phase_ = static_cast<Phase>(phase);
  stalls_ = state.stalls();
  if (state.has_full_since_nanos()) {
    full_since_ = absl::Nanoseconds(state.full_since_nanos());
  }
  spell_ = state.spell();
  clock_spell_ = state.clock_spell();
  clock_runs_ = state.clock_runs();
  return clock_runs_ ? Reaction::kStartClock : Reaction::kNothing;
}

void BackPressure::RestorePaused(const pb::state::BackPressure& state,
                                 const StateIngresses& ingresses) {
  for (const uint64_t number : state.paused()) {
    if (const auto valve = ingresses.Find(number)) Pause(valve);
  }
}

void BackPressure::Pause(const std::shared_ptr<Valve>& valve) {
  if (std::find(paused_.begin(), paused_.end(), valve) != paused_.end()) {
    return;
  }
  paused_.push_back(valve);
  valve->Pause();
}

BackPressure::Reaction BackPressure::StartClock() {
  if (clock_runs_) return Reaction::kNothing;
  clock_runs_ = true;
  clock_spell_ = spell_;
  return Reaction::kStartClock;
}

}  // namespace fifobus
