#ifndef FIFOBUS_BROKER_BASE_SIGNALS_BLOCKED_H_
#define FIFOBUS_BROKER_BASE_SIGNALS_BLOCKED_H_

#include <pthread.h>
#include <signal.h>

namespace fifobus {

// Blocks all signals of this thread for a scope, so that a thread that is made
// meanwhile takes none: threads inherit the mask of their maker. SIGPIPE is
// raised in the thread that writes (pipe(7)), where it then stays pending for
// ever and write returns EPIPE; the process's settings need not change.
// Thread-compatible: one thread makes and destroys it.
class AllSignalsBlocked {
 public:
  AllSignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~AllSignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  AllSignalsBlocked(const AllSignalsBlocked&) = delete;
  AllSignalsBlocked& operator=(const AllSignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_BASE_SIGNALS_BLOCKED_H_
