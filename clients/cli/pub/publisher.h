#ifndef FIFOBUS_CLIENTS_CLI_PUB_PUBLISHER_H_
#define FIFOBUS_CLIENTS_CLI_PUB_PUBLISHER_H_

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "clients/cli/output.h"
#include "clients/cli/pub/pacer.h"
#include "clients/cli/pub/pub_options.h"
#include "clients/cpp/client.h"
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

  // Whether the reader of the printed confirmations is gone.
  Output::Outcome output() const { return written_; }

 private:
  absl::Status Send(MessageFields& message);
  absl::Status AwaitTurn();
  absl::Status PublishConfirmed(const MessageFields& message);
  absl::Status Report(PublishOutcome outcome) const;

  Client& client_;
  const PubOptions& options_;
  std::optional<Pacer> pacer_;
  std::vector<HeaderView> headers_;
  Output confirmations_;
  Output::Outcome written_ = Output::Outcome::kWritten;
  uint64_t sequence_ = 0;
};

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_PUB_PUBLISHER_H_
