// To be preloaded (LD_PRELOAD): sets the wall clock back by an hour whenever the
// program reads it, as nothing but a very bad NTP server would. What a program
// times by it is never over.

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>

namespace {

constexpr time_t kStepSeconds = 3600;
std::atomic<time_t> steps{0};

}  // namespace

extern "C" int clock_gettime(clockid_t id, timespec* now) noexcept {
  const auto result = static_cast<int>(syscall(SYS_clock_gettime, id, now));
  if (id == CLOCK_REALTIME && result == 0) {
    now->tv_sec -= kStepSeconds * ++steps;
  }
  return result;
}
