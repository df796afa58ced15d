#include "clients/cli/inherited_signals.h"

#include <signal.h>

namespace fifobus::cli {
namespace {

sigset_t blocked;
void (*pipe_action)(int) = SIG_DFL;

}  // namespace

void RememberSignals() {
  sigprocmask(SIG_BLOCK, nullptr, &blocked);
  pipe_action = signal(SIGPIPE, SIG_IGN);
}

void RestoreSignals() {
  signal(SIGPIPE, pipe_action);
  sigprocmask(SIG_SETMASK, &blocked, nullptr);
}

}  // namespace fifobus::cli
