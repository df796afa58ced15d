#ifndef FIFOBUS_CLIENTS_CPP_INTERNAL_PATIENCE_H_
#define FIFOBUS_CLIENTS_CPP_INTERNAL_PATIENCE_H_

#include "clients/cpp/client_options.h"
#include "clients/cpp/deadline.h"
#include "clients/cpp/received.h"

namespace fifobus {

// How long a publishing call may wait: until its deadline in the mode
// kBlocking, and not at all in the others. Receive has rules of its own for
// kBusyPoll.
struct Patience {
  Mode mode = Mode::kBlocking;
  Deadline deadline;

  bool IsOver() const { return mode != Mode::kBlocking || deadline.HasCome(); }
  // What a call returns that was over before it was done.
  PublishOutcome GivenUp() const {
    return mode == Mode::kBlocking ? PublishOutcome::kTimedOut
                                   : PublishOutcome::kWouldBlock;
  }
};

}  // namespace fifobus

#endif  // FIFOBUS_CLIENTS_CPP_INTERNAL_PATIENCE_H_
