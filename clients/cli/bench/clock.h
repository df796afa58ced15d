#ifndef FIFOBUS_CLIENTS_CLI_BENCH_CLOCK_H_
#define FIFOBUS_CLIENTS_CLI_BENCH_CLOCK_H_

#include <sys/prctl.h>
#include <time.h>

#include <cstdint>

// CLOCK_MONOTONIC, which all processes of a machine share.
namespace fifobus::cli {

inline int64_t MonotonicNanos() {
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * int64_t{1000000000} + now.tv_nsec;
}

// A thread's sleeps end up to 50 us late unless it asks for less: prctl(2).
inline void WakePunctually() { (void)prctl(PR_SET_TIMERSLACK, 1); }

inline void SleepUntil(int64_t nanos) {
  timespec until = {};
  until.tv_sec = nanos / 1000000000;
  until.tv_nsec = nanos % 1000000000;
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr) !=
         0) {
  }
}

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_BENCH_CLOCK_H_
