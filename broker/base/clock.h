#ifndef FIFOBUS_BROKER_BASE_CLOCK_H_
#define FIFOBUS_BROKER_BASE_CLOCK_H_

#include <time.h>

#include "absl/time/time.h"

namespace fifobus {

// The time since some moment in the past, the same for all processes of the
// machine. It neither jumps when the wall clock is set nor runs while the
// machine is suspended: CLOCK_MONOTONIC, clock_gettime(2).
//
// Every timeout, deadline and rate is by this clock. The wall clock only stamps
// messages, expires them, and dates files. Thread-safe.
inline absl::Duration MonotonicNow() {
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return absl::DurationFromTimespec(now);
}

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_BASE_CLOCK_H_
