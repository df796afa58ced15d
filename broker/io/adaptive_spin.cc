#include "broker/io/adaptive_spin.h"

#include <algorithm>

namespace fifobus {
namespace {

// The score rises by one with each short wait, and falls by kInVain when
// polling was in vain. The loop polls while the score is above 0, so at
// kScoreMin it takes some 30 short waits until the next attempt. Not tuned.
constexpr int kInVain = 4;
constexpr int kScoreMax = 8;
constexpr int kScoreMin = -32;

// A sleep that was over so soon did not wake another core, which takes longer:
// publisher and worker share one, or there was hardly a wait. Then spinning
// gains nothing, and drives the clients to the other core.
constexpr absl::Duration kCheapWake = absl::Microseconds(15);

// Of so many waits the first few sleep, to see whether waking is cheap by now.
constexpr unsigned kWaitsOfARound = 256;
constexpr unsigned kSleepsOfARound = 4;

}  // namespace

bool AdaptiveSpin::Pays() const {
  return always_ || (score_ > 0 && waits_ % kWaitsOfARound >= kSleepsOfARound);
}

AdaptiveSpin AdaptiveSpin::Always(absl::Duration limit) {
  AdaptiveSpin spin(limit);
  spin.always_ = limit > absl::ZeroDuration();
  return spin;
}

void AdaptiveSpin::Came(absl::Duration waited, bool spun) {
  ++waits_;
  // To be woken from sleep takes about as long again.
  const bool is_short =
      spun ? waited <= limit_ : kCheapWake < waited && waited <= 2 * limit_;
  score_ = is_short ? std::min(score_ + 1, kScoreMax)
                    : std::max(score_ - kInVain, kScoreMin);
}

bool AdaptiveSpin::GoesOnThoughCoreIsWanted() {
  score_ = std::max(score_ - kInVain, kScoreMin);
  return always_;
}

}  // namespace fifobus
