#ifndef FIFOBUS_CLIENTS_CLI_BRIDGE_BACKOFF_H_
#define FIFOBUS_CLIENTS_CLI_BRIDGE_BACKOFF_H_

#include <algorithm>
#include <random>

#include "absl/time/time.h"

namespace fifobus::bridge {

// How long to wait before the next attempt: twice as long each time, and a part
// of it by chance, so that many bridges do not come back to a server at once.
// Thread-compatible.
class Backoff {
 public:
  Backoff(absl::Duration least, absl::Duration most)
      : least_(least), most_(most), next_(least) {}

  // From half of what it doubles to all of it.
  absl::Duration Next() {
    const absl::Duration wait = next_;
    next_ = std::min(next_ * 2, most_);
    return wait * std::uniform_real_distribution<double>(0.5, 1.0)(random_);
  }
  // An attempt was good.
  void Reset() { next_ = least_; }

 private:
  const absl::Duration least_;
  const absl::Duration most_;
  absl::Duration next_;
  std::minstd_rand random_{std::random_device()()};
};

}  // namespace fifobus::bridge

#endif  // FIFOBUS_CLIENTS_CLI_BRIDGE_BACKOFF_H_
