#ifndef FIFOBUS_BROKER_KEEPER_RESTART_DELAY_H_
#define FIFOBUS_BROKER_KEEPER_RESTART_DELAY_H_

#include "absl/time/time.h"

namespace fifobus {

// How long to wait before a broker that has died is started again: not at all
// the first time, then longer each time up to a limit, and not at all again
// once one has run well. Thread-compatible.
class RestartDelay {
 public:
  // A broker that has served for so long ran well.
  static constexpr absl::Duration kRanWell = absl::Seconds(1);
  // The second delay; each is twice the one before. Not tuned.
  static constexpr absl::Duration kFirst = absl::Milliseconds(10);

  explicit RestartDelay(absl::Duration most) : most_(most) {}

  // The delay after a death of a broker that had served for `served`.
  absl::Duration Next(absl::Duration served);

 private:
  const absl::Duration most_;
  absl::Duration next_ = absl::ZeroDuration();
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_KEEPER_RESTART_DELAY_H_
