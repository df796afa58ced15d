#include "clients/cpp/deadline.h"

#include <algorithm>

#include "absl/time/clock.h"
#include "broker/base/clock.h"

namespace fifobus {

Deadline::Deadline(absl::Duration from_now)
    : at_(from_now == absl::InfiniteDuration() ? from_now
                                               : MonotonicNow() + from_now) {}

Deadline::Deadline(absl::Time time)
    : Deadline(time == absl::InfiniteFuture() ? absl::InfiniteDuration()
               : time == absl::InfinitePast() ? -absl::InfiniteDuration()
                                              : time - absl::Now()) {}

bool Deadline::HasCome() const { return !IsNever() && MonotonicNow() >= at_; }

absl::Duration Deadline::Rest() const {
  return IsNever() ? at_ : std::max(absl::ZeroDuration(), at_ - MonotonicNow());
}

}  // namespace fifobus
