#ifndef FIFOBUS_CLIENTS_CLI_PUB_PACER_H_
#define FIFOBUS_CLIENTS_CLI_PUB_PACER_H_

#include "absl/time/time.h"

namespace fifobus::cli {

// The times when the messages of a steady rate are due.
//
// Each time is counted from the one before, not from when a message went out,
// so that one late message does not delay all that follow. A publisher that is
// late by more than kCatchUp, because of its input or its readers, begins anew
// instead of sending all the missed messages at once. Thread-compatible.
class Pacer {
 public:
  static constexpr absl::Duration kCatchUp = absl::Seconds(1);  // Not tuned.

  // REQUIRES: interval > 0.
  explicit Pacer(absl::Duration interval) : interval_(interval) {}

  // When the next message is due, which may be past.
  absl::Duration Next(absl::Duration now) {
    if (now - due_ > kCatchUp) due_ = now;
    const absl::Duration due = due_;
    due_ += interval_;
    return due;
  }

 private:
  const absl::Duration interval_;
  absl::Duration due_ = -absl::InfiniteDuration();
};

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_PUB_PACER_H_
