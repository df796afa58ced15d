#ifndef FIFOBUS_BROKER_IO_ADAPTIVE_SPIN_H_
#define FIFOBUS_BROKER_IO_ADAPTIVE_SPIN_H_

#include "absl/time/time.h"

namespace fifobus {

// Decides whether a loop that has nothing to do polls for a moment before it
// sleeps: only while what it waited for has come that soon lately. Polling saves
// waking a core, which takes many times as long as moving a small message; but
// where other threads want the core, it only takes their time.
// Thread-compatible: it belongs to its loop.
class AdaptiveSpin {
 public:
  // Never polls.
  AdaptiveSpin() = default;
  // Polls for `limit`, while that pays.
  explicit AdaptiveSpin(absl::Duration limit) : limit_(limit) {}
  // Polls for `limit` each time.
  static AdaptiveSpin Always(absl::Duration limit);

  absl::Duration limit() const { return limit_; }
  // Whether the next wait should begin by polling.
  bool Pays() const;

  // Something came `waited` after the loop had run out of work. `spun`: the wait
  // began by polling.
  void Came(absl::Duration waited, bool spun);
  // Another thread wanted the core while this loop polled. Whether the loop
  // should poll on instead of sleeping.
  bool GoesOnThoughCoreIsWanted();

 private:
  absl::Duration limit_ = absl::ZeroDuration();
  bool always_ = false;
  int score_ = 0;
  unsigned waits_ = 0;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_IO_ADAPTIVE_SPIN_H_
