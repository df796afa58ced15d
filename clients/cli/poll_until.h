#ifndef FIFOBUS_CLIENTS_CLI_POLL_UNTIL_H_
#define FIFOBUS_CLIENTS_CLI_POLL_UNTIL_H_

#include <poll.h>

#include <algorithm>
#include <span>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace fifobus::cli {

// poll(2) until `deadline`; may return earlier, with nothing ready.
inline void PollUntil(std::span<pollfd> polled, absl::Time deadline) {
  const absl::Duration rest =
      std::clamp(deadline - absl::Now(), absl::ZeroDuration(), absl::Hours(1));
  (void)poll(polled.data(), polled.size(),
             static_cast<int>(absl::ToInt64Milliseconds(
                 absl::Ceil(rest, absl::Milliseconds(1)))));
}

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_POLL_UNTIL_H_
