#include "clients/cli/bridge/clock_check.h"

#include "fmt/format.h"

namespace fifobus::bridge {
namespace {

// Machines with NTP differ by milliseconds: ntpq(8) of any of them.
constexpr absl::Duration kTolerance = absl::Seconds(1);

}  // namespace

void ClockCheck::Observe(absl::Time server, absl::Time earliest,
                         absl::Time latest) {
  if (server > latest + kTolerance) {
    ahead_ = server - latest;
  } else if (server < earliest - kTolerance) {
    ahead_ = server - earliest;
  } else {
    ahead_ = absl::ZeroDuration();
  }
}

void ClockCheck::ObserveBefore(absl::Time server, absl::Time latest) {
  if (server > latest + kTolerance) {
    ahead_ = server - latest;
  } else if (server > latest - kTolerance && ahead_ > absl::ZeroDuration()) {
    // Just stored, and not in the future any more.
    ahead_ = absl::ZeroDuration();
  }
}

std::string ClockCheck::trouble() const {
  if (ahead_ == absl::ZeroDuration()) return "";
  return fmt::format(
      "the clock is {} {} that of the NATS server, and expiries are wrong by "
      "as much: see timedatectl on both machines",
      absl::FormatDuration(
          absl::Trunc(absl::AbsDuration(ahead_), absl::Milliseconds(100))),
      ahead_ > absl::ZeroDuration() ? "behind" : "ahead of");
}

}  // namespace fifobus::bridge
