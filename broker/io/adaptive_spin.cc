#include "broker/io/adaptive_spin.h"

#include <algorithm>

namespace fifobus {
namespace {

// Polling in vain takes back what so many short waits have said for it. At the
// least score it takes as many before the next attempt. Not tuned.
constexpr int kInVain = 4;
constexpr int kScoreMax = 8;
constexpr int kScoreMin = -32;

}  // namespace

AdaptiveSpin AdaptiveSpin::Always(absl::Duration limit) {
  AdaptiveSpin spin(limit);
  spin.always_ = limit > absl::ZeroDuration();
  return spin;
}

void AdaptiveSpin::Came(absl::Duration waited, bool spun) {
  // To be woken from sleep takes about as long again.
  const bool is_short = waited <= (spun ? limit_ : 2 * limit_);
  score_ = is_short ? std::min(score_ + 1, kScoreMax)
                    : std::max(score_ - kInVain, kScoreMin);
}

}  // namespace fifobus
