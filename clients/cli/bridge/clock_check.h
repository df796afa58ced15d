#ifndef FIFOBUS_CLIENTS_CLI_BRIDGE_CLOCK_CHECK_H_
#define FIFOBUS_CLIENTS_CLI_BRIDGE_CLOCK_CHECK_H_

#include <string>

#include "absl/time/time.h"

namespace fifobus::bridge {

// Whether this machine's clock and the servers' agree. Expiries and times that
// cross the bridge are wrong by as much as they differ.
//
// Servers show their clock by the times of what they store. One that was stored
// between the sending and the acknowledgement says how far the clocks differ;
// one that comes out of a stream says only that the server's clock is not behind
// it. Clocks may differ by a second before that is called trouble.
//
// Thread-compatible.
class ClockCheck {
 public:
  // The server's clock showed `server` when this machine's showed something from
  // `earliest` to `latest`.
  void Observe(absl::Time server, absl::Time earliest, absl::Time latest);
  // It showed `server` at `latest` or before.
  void ObserveBefore(absl::Time server, absl::Time latest);

  // By how much the server's clock is ahead, at least; negative: behind; zero:
  // they agree, as far as is known.
  absl::Duration ahead() const { return ahead_; }
  // For people: "the clock is 5.2s behind that of the server; ..."; empty: well.
  std::string trouble() const;

 private:
  absl::Duration ahead_ = absl::ZeroDuration();
};

}  // namespace fifobus::bridge

#endif  // FIFOBUS_CLIENTS_CLI_BRIDGE_CLOCK_CHECK_H_
