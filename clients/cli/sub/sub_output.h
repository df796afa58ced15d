#ifndef FIFOBUS_CLIENTS_CLI_SUB_SUB_OUTPUT_H_
#define FIFOBUS_CLIENTS_CLI_SUB_SUB_OUTPUT_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "clients/cli/sub/sub_options.h"
#include "clients/cpp/client.h"

namespace fifobus::cli {

// Where `fifobus sub` puts messages. Each acknowledges them when it is done
// with them, if their group wants that. Thread-compatible.
class SubOutput {
 public:
  virtual ~SubOutput() = default;

  // Puts a message there, at once or later.
  virtual void Put(const Received& got) = 0;

  // There is no message now: puts out what is gathered, and waits for the next
  // one until `deadline`. kWouldBlock: look again.
  virtual Received Await(absl::Time deadline) = 0;

  // Nothing more can be put there: End is to be called.
  virtual bool over() const = 0;

  // Puts out what is gathered. Returns the exit code, `otherwise` if nothing is
  // wrong.
  [[nodiscard]] virtual Exit End(Exit otherwise) = 0;
};

// Messages that are gathered and not yet acknowledged. Thread-compatible.
class PendingAcks {
 public:
  void Add(const Received& got) {
    if (got.delivery.ack_id != 0) ack_ids_.push_back(got.delivery.ack_id);
  }

  // They have all been put out.
  void Send(Client& client) {
    if (ack_ids_.empty()) return;
    const Batch batch(client);
    for (const uint64_t ack_id : ack_ids_) client.Ack(ack_id);
    ack_ids_.clear();
  }

 private:
  std::vector<uint64_t> ack_ids_;
};

// Standard output; --exec: a command for each message; --exec-stream: a command
// for all of them. What is given must outlive what is returned.
std::unique_ptr<SubOutput> PrintMessages(Client& client,
                                         const SubOptions& options);
absl::StatusOr<std::unique_ptr<SubOutput>> ExecuteMessages(
    Client& client, const SubOptions& options);
absl::StatusOr<std::unique_ptr<SubOutput>> StreamMessages(
    Client& client, const SubOptions& options, absl::Time deadline);

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_SUB_SUB_OUTPUT_H_
