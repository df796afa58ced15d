#ifndef FIFOBUS_CLIENTS_CLI_PUB_CONFIRMER_H_
#define FIFOBUS_CLIENTS_CLI_PUB_CONFIRMER_H_

#include <poll.h>

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "clients/cli/output.h"
#include "clients/cli/pub/pub_options.h"
#include "clients/cpp/client.h"
#include "clients/cpp/deadline.h"

namespace fifobus::cli {

// What the broker says about the messages of `fifobus pub --confirm`, one line
// for each on standard output. Many messages may be on their way. The first one
// that does not get as far as it should is the end.
//
//   accepted SESSIONS TAPS
//   stored OFFSET SESSIONS TAPS      and so "written"
//   duplicate OFFSET                 the log had it; 0: the place is not known
//
// Cancelled, from all calls: nobody reads standard output any more, or it
// failed; see output(). Thread-compatible.
class Confirmer {
 public:
  // Both must outlive it. REQUIRES: options.confirm.
  Confirmer(Client& client, const PubOptions& options);

  // What a message needs to be confirmed.
  void Ask(MessageFields& message);
  // It was published. Waits if too many are on their way.
  absl::Status OnPublished();

  // Prints what has come. Does not wait.
  absl::Status Take();
  // Prints what comes, until `input` is readable or the deadline has come.
  absl::Status Await(int input, Deadline deadline);
  // Prints all that is still to come.
  absl::Status AwaitAll() { return AwaitFewer(0); }

  Output::Outcome output() const { return written_; }
  // Messages that the log had already.
  uint64_t duplicates() const { return duplicates_; }

 private:
  absl::Status AwaitFewer(uint64_t most);
  absl::Status Print(const Confirmation& confirmation);
  absl::Status Write();

  Client& client_;
  const PubOptions& options_;
  const Level level_;
  Output lines_;
  Output::Outcome written_ = Output::Outcome::kWritten;
  const pollfd output_watch_;
  uint64_t asked_ = 0;     // the ids are 1, 2...
  uint64_t answered_ = 0;  // in the same order
  uint64_t duplicates_ = 0;
};

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_PUB_CONFIRMER_H_
