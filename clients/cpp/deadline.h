#ifndef FIFOBUS_CLIENTS_CPP_DEADLINE_H_
#define FIFOBUS_CLIENTS_CPP_DEADLINE_H_

#include "absl/time/time.h"

namespace fifobus {

// When a call stops waiting, by a clock that nobody sets: neither NTP nor date
// moves it, and it stands while the machine is suspended (CLOCK_MONOTONIC).
//
//   client.Receive(absl::Seconds(1));              // from now on
//   const fifobus::Deadline end = absl::Seconds(1);
//   while (...) client.Receive(end);               // one second in all
//
// A time by the wall clock is converted once, when the deadline is made.
// Thread-compatible, and a value.
class Deadline {
 public:
  Deadline() = default;               // never comes
  Deadline(absl::Duration from_now);  // NOLINT(google-explicit-constructor)
  Deadline(absl::Time time);          // NOLINT(google-explicit-constructor)

  static Deadline Never() { return Deadline(); }
  // One that has just come.
  static Deadline Now() { return absl::ZeroDuration(); }

  bool IsNever() const { return at_ == absl::InfiniteDuration(); }
  bool HasCome() const;
  // Until it comes; 0 if it has.
  absl::Duration Rest() const;

  friend bool operator==(const Deadline& a, const Deadline& b) {
    return a.at_ == b.at_;
  }
  friend bool operator<(const Deadline& a, const Deadline& b) {
    return a.at_ < b.at_;
  }
  friend bool operator<=(const Deadline& a, const Deadline& b) {
    return a.at_ <= b.at_;
  }

 private:
  absl::Duration at_ = absl::InfiniteDuration();  // as MonotonicNow
};

}  // namespace fifobus

#endif  // FIFOBUS_CLIENTS_CPP_DEADLINE_H_
