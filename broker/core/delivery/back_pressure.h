#ifndef FIFOBUS_BROKER_CORE_DELIVERY_BACK_PRESSURE_H_
#define FIFOBUS_BROKER_CORE_DELIVERY_BACK_PRESSURE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/time/time.h"
#include "broker/seam/feed.h"
#include "broker/seam/state_ingresses.h"
#include "proto/overflow.h"

namespace fifobus {

namespace pb::state {
class BackPressure;
}  // namespace pb::state

// Decides which publishers wait for a subscriber whose queue is full, and how
// long.
//
// A queue above its limits pauses the ingress that brought the last of it,
// until it is below half. If that takes longer than the stall timeout, or if
// the ingress is the subscriber's own, or if nobody reads or nobody has read
// for so long, the subscriber is *stalled*: its overflow policy applies and
// nobody waits, until its queue is below half. Overflow::kDisconnect *ends* it
// instead: what is lost is announced, then the reason is said, and when both
// are written, or after another stall timeout, the sink is ended.
//
// Not here: the queue, and what is dropped from it (Egress). Resumes nobody by
// itself, since that happens without the lock: the valves are handed out.
//
// Thread-compatible; owned by an Egress under its lock.
//
// Invariant: each valve in paused_ is there once and is owed one Resume; none
// is there while stalled or ending.
class BackPressure {
 public:
  using Valves = std::vector<std::shared_ptr<Valve>>;

  explicit BackPressure(absl::Duration stall_timeout)
      : stall_timeout_(stall_timeout) {}

  // The ingress of the same client: never paused unless the policy is kBlock.
  void SetOwnValve(std::shared_ptr<Valve> valve) {
    own_valve_ = std::move(valve);
  }

  // The sink was offered something and has taken a part, or all.
  enum class Taken { kAll, kPart, kNothing };
  void OnWritten(Taken taken);
  // How long the sink has taken nothing; zero while it takes.
  absl::Duration StuckFor() const;
  // Whether that is longer than the stall timeout.
  bool IsStuck() const;

  // The queue is above its limits by what the valve's ingress brought; null:
  // that cannot be paused.
  enum class Reaction {
    kNothing,     // its publisher waits, or cannot
    kStartClock,  // the same, and OnTimeout is to be called
    kStall,       // Stall is to be called
    kMakeRoom,    // it is stalled: its policy applies
  };
  [[nodiscard]] Reaction OnFull(const std::shared_ptr<Valve>& valve,
                                Overflow overflow, bool reader_gone);

  // The stall timeout has passed since kStartClock.
  enum class Timeout { kNothing, kStartClock, kStall, kEnd };
  [[nodiscard]] Timeout OnTimeout(Overflow overflow);

  // The queue is below half. Returns the valves to resume.
  [[nodiscard]] Valves OnBelowHalf();

  // From now on nobody waits. Returns the valves to resume.
  [[nodiscard]] Valves Stall();
  // The same for good. kStartClock, unless a clock runs.
  [[nodiscard]] Reaction BeginEnd();
  // Says, once, that everything before the reason of the end is written.
  [[nodiscard]] bool ReasonIsDue();
  // All valves, to be resumed: the subscriber is gone.
  [[nodiscard]] Valves ReleaseAll();

  bool stalled() const { return phase_ == Phase::kStalled; }
  bool ending() const {
    return phase_ == Phase::kEnding || phase_ == Phase::kReasonSaid;
  }
  bool reason_said() const { return phase_ == Phase::kReasonSaid; }
  size_t holds_up() const { return paused_.size(); }
  uint64_t stalls() const { return stalls_; }

  // What an upgrade takes over. A clock that ran is to be started anew.
  pb::state::BackPressure Export(const StateIngresses& ingresses) const;
  [[nodiscard]] Reaction Restore(const pb::state::BackPressure& state);
  // Behind Restore, when all ingresses are there: holds back those that were.
  void RestorePaused(const pb::state::BackPressure& state,
                     const StateIngresses& ingresses);

 private:
  enum class Phase { kFlowing, kStalled, kEnding, kReasonSaid };

  void Pause(const std::shared_ptr<Valve>& valve);
  Reaction StartClock();

  const absl::Duration stall_timeout_;
  std::shared_ptr<Valve> own_valve_;
  Phase phase_ = Phase::kFlowing;
  Valves paused_;
  uint64_t stalls_ = 0;
  // Since when the sink takes nothing, as MonotonicNow; infinite: it takes.
  absl::Duration full_since_ = absl::InfiniteDuration();
  // A full spell is from the first pause until the queue is below half. The
  // clock is not stopped at its end; if another spell runs when it fires, it is
  // started again for that one. So a stall is noticed after one to two
  // timeouts.
  bool clock_runs_ = false;
  uint64_t spell_ = 0;
  uint64_t clock_spell_ = 0;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_DELIVERY_BACK_PRESSURE_H_
