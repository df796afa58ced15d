#ifndef FIFOBUS_CLIENTS_CLI_PUB_PUBLISHER_H_
#define FIFOBUS_CLIENTS_CLI_PUB_PUBLISHER_H_

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "clients/cli/output.h"
#include "clients/cli/pub/confirmer.h"
#include "clients/cli/pub/pacer.h"
#include "clients/cli/pub/pub_options.h"
#include "clients/cpp/client.h"
#include "clients/cpp/deadline.h"
#include "clients/cpp/owned_message.h"

namespace fifobus::cli {

// Publishes as `fifobus pub` does: one message after the other, numbered,
// stamped, at the rate of the options, and confirmed if they say so. Its client
// and options must outlive it. Thread-compatible.
class Publisher {
 public:
  Publisher(Client& client, const PubOptions& options);

  // InvalidArgument: this message is bad; others may be good.
  absl::Status Publish(std::string_view payload);
  // The options say what the message does not.
  absl::Status Publish(const OwnedMessage& message);

  // Sends now what a batch has gathered.
  absl::Status Flush();

  // Waits until the descriptor `input` is readable, or until the deadline. With
  // -1 only the deadline counts. Meanwhile it attends to the session.
  // Cancelled: see output().
  absl::Status Await(int input, Deadline deadline);

  // At the end: whether everything has arrived, as far as the broker says.
  absl::Status Finish();

  // Whether the reader of the confirmations is gone.
  Output::Outcome output() const {
    return confirmer_ ? confirmer_->output() : Output::Outcome::kWritten;
  }

  // How many messages were given to the client.
  uint64_t published() const { return published_; }

  // Whether messages were lost, or are not known to have arrived. Standard error
  // has said so.
  bool lost() const { return lost_; }

 private:
  absl::Status Send(MessageFields& message);
  absl::Status AwaitTurn();
  absl::Status PublishConfirmed(MessageFields& message);
  absl::Status FinishConfirmed();
  absl::Status Disconnected();
  absl::Status Report(PublishOutcome outcome);

  Client& client_;
  const PubOptions& options_;
  std::optional<Pacer> pacer_;
  std::vector<HeaderView> headers_;
  std::optional<Confirmer> confirmer_;
  bool lost_ = false;
  uint64_t published_ = 0;
};

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_PUB_PUBLISHER_H_
