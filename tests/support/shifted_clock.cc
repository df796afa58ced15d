// To be preloaded (LD_PRELOAD): the wall clock is off by so many seconds as the
// environment's CLOCK_SHIFT_SECONDS says, as on a machine without NTP. Waits until a
// time by that clock are as long as the program means.

#include <pthread.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cstdlib>

namespace {

time_t Shift() {
  const char* const shift = getenv("CLOCK_SHIFT_SECONDS");
  return shift == nullptr ? 0 : atol(shift);
}

}  // namespace

extern "C" int clock_gettime(clockid_t id, timespec* now) noexcept {
  const auto result = static_cast<int>(syscall(SYS_clock_gettime, id, now));
  if (id == CLOCK_REALTIME && result == 0) now->tv_sec += Shift();
  return result;
}

// Of libnats, whose conditions have the default clock.
extern "C" int pthread_cond_timedwait(pthread_cond_t* condition,
                                      pthread_mutex_t* mutex,
                                      const timespec* until) {
  timespec real = *until;
  real.tv_sec -= Shift();
  return pthread_cond_clockwait(condition, mutex, CLOCK_REALTIME, &real);
}
