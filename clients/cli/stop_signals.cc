#include "clients/cli/stop_signals.h"

#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>

namespace fifobus::cli {
namespace {

sigset_t StopSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int number : {SIGTERM, SIGINT, SIGHUP}) {
    sigaddset(&signals, number);
  }
  return signals;
}

}  // namespace

absl::StatusOr<UniqueFd> TakeStopSignals() {
  const sigset_t signals = StopSignals();
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  UniqueFd fd(signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC));
  if (!fd.valid()) return absl::ErrnoToStatus(errno, "signalfd");
  return fd;
}

int TakenSignal(const UniqueFd& signals) {
  signalfd_siginfo taken;
  if (read(signals.get(), &taken, sizeof taken) != sizeof taken) return 0;
  return static_cast<int>(taken.ssi_signo);
}

void EndBySignal(int number) {
  const sigset_t signals = StopSignals();
  signal(number, SIG_DFL);
  raise(number);  // stays pending until the next line
  sigprocmask(SIG_UNBLOCK, &signals, nullptr);
  _exit(128 + number);
}

}  // namespace fifobus::cli
