#include "clients/cli/stop_signals.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>

namespace fifobus::cli {
namespace {

constexpr int kStopSignals[] = {SIGTERM, SIGINT, SIGHUP};

bool IsIgnored(int number) {
  struct sigaction action = {};
  return sigaction(number, nullptr, &action) == 0 &&
         action.sa_handler == SIG_IGN;
}

}  // namespace

absl::StatusOr<UniqueFd> TakeStopSignals(std::initializer_list<int> more) {
  sigset_t signals;
  sigemptyset(&signals);
  // Blocked, an ignored signal would come by the descriptor nevertheless.
  for (const int number : kStopSignals) {
    if (!IsIgnored(number)) sigaddset(&signals, number);
  }
  for (const int number : more) sigaddset(&signals, number);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  UniqueFd fd(signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC));
  if (!fd.valid()) return absl::ErrnoToStatus(errno, "signalfd");
  return fd;
}

int TakenSignal(const UniqueFd& signals) {
  signalfd_siginfo taken;
  if (read(signals.get(), &taken, sizeof taken) != sizeof taken) return 0;
  return static_cast<int>(taken.ssi_signo);
}

int AwaitSignal(const UniqueFd& signals) {
  while (true) {
    if (const int number = TakenSignal(signals)) return number;
    pollfd polled = {signals.get(), POLLIN, 0};
    (void)poll(&polled, 1, -1);
  }
}

void ReleaseStopSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int number : kStopSignals) sigaddset(&signals, number);
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
}

void EndBySignal(int number) {
  signal(number, SIG_DFL);
  raise(number);  // stays pending until the next line
  ReleaseStopSignals();
  _exit(128 + number);
}

}  // namespace fifobus::cli
