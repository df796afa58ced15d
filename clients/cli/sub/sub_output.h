#ifndef FIFOBUS_CLIENTS_CLI_SUB_SUB_OUTPUT_H_
#define FIFOBUS_CLIENTS_CLI_SUB_SUB_OUTPUT_H_

#include <poll.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "clients/cli/sub/sub_options.h"
#include "clients/cpp/client.h"
#include "clients/cpp/deadline.h"

namespace fifobus::cli {

// Where `fifobus sub` puts messages. Each acknowledges them when it is done
// with them, if their group wants that. Thread-compatible.
//
// While it is busy with something else, it takes one message ahead and then no
// more. So a subscriber that is slow is slow for the broker, too, and one that
// has got everything answers a broker that stops. A member of a group that does
// not acknowledge takes nothing ahead, which would be lost if it left.
class SubOutput {
 public:
  SubOutput(Client& client, const SubOptions& options)
      : client_(client),
        takes_ahead_(options.subscribe.group.empty() || options.ack) {}
  virtual ~SubOutput() = default;
  SubOutput(const SubOutput&) = delete;
  SubOutput& operator=(const SubOutput&) = delete;

  // The next of what the client receives, without waiting if something is
  // there. kWouldBlock: look again. Its views are valid until Put.
  Received Next(Deadline deadline) {
    if (ahead_) return *std::exchange(ahead_, std::nullopt);
    client_.set_mode(Mode::kNonBlocking);
    Received got = client_.Receive();
    if (got.outcome != ReceiveOutcome::kWouldBlock) return got;
    return Await(deadline);
  }

  // Puts a message there, at once or later.
  virtual void Put(const Received& got) = 0;

  // Nothing more can be put there: End is to be called.
  virtual bool over() const = 0;

  // Puts out what is gathered. Returns the exit code, `otherwise` if nothing is
  // wrong.
  [[nodiscard]] virtual Exit End(Exit otherwise) = 0;

 protected:
  // There is no message now: puts out what is gathered, and waits for the next
  // one until `deadline`. kWouldBlock: look again.
  virtual Received Await(Deadline deadline) = 0;

  // To be polled while it is busy, and what to do then.
  pollfd WatchAhead() const {
    return {takes_ahead_ && !ahead_ ? client_.fd() : -1, POLLIN, 0};
  }
  void TakeAhead(const pollfd& watch) {
    if (watch.revents == 0) return;
    client_.set_mode(Mode::kNonBlocking);
    const Received got = client_.Receive();
    if (got.outcome != ReceiveOutcome::kWouldBlock) ahead_ = got;
  }

  Client& client() { return client_; }

 private:
  Client& client_;
  const bool takes_ahead_;
  std::optional<Received> ahead_;
};

// What Client::Done wants to know of a message, without its views.
inline Received Acknowledged(const Received& got) {
  Received kept;
  kept.delivery = got.delivery;
  kept.subscription = got.subscription;
  return kept;
}

// Messages that are gathered and not yet acknowledged: those of a group each,
// and the last one of each reader of a log. Thread-compatible.
class PendingAcks {
 public:
  void Add(const Received& got) {
    if (got.delivery.ack_id != 0) {
      ack_ids_.push_back(got.delivery.ack_id);
    } else if (got.subscription != 0) {
      const auto of_reader =
          std::find_if(last_.begin(), last_.end(), [&](const Received& last) {
            return last.subscription == got.subscription;
          });
      if (of_reader != last_.end()) last_.erase(of_reader);
      last_.push_back(Acknowledged(got));
    }
  }

  // They have all been put out.
  void Send(Client& client) {
    if (ack_ids_.empty() && last_.empty()) return;
    const Batch batch(client);
    for (const uint64_t ack_id : ack_ids_) client.Ack(ack_id);
    for (const Received& last : last_) client.Done(last);
    ack_ids_.clear();
    last_.clear();
  }

 private:
  std::vector<uint64_t> ack_ids_;
  std::vector<Received> last_;
};

// Standard output; --exec: a command for each message; --exec-stream: a command
// for all of them. What is given must outlive what is returned.
std::unique_ptr<SubOutput> PrintMessages(Client& client,
                                         const SubOptions& options);
absl::StatusOr<std::unique_ptr<SubOutput>> ExecuteMessages(
    Client& client, const SubOptions& options);
absl::StatusOr<std::unique_ptr<SubOutput>> StreamMessages(
    Client& client, const SubOptions& options, Deadline deadline);

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_SUB_SUB_OUTPUT_H_
