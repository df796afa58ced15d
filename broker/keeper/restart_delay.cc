#include "broker/keeper/restart_delay.h"

#include <algorithm>

namespace fifobus {

absl::Duration RestartDelay::Next(absl::Duration served) {
  if (served >= kRanWell) next_ = absl::ZeroDuration();
  const absl::Duration delay = next_;
  next_ = std::min(most_, std::max(kFirst, delay * 2));
  return delay;
}

}  // namespace fifobus
