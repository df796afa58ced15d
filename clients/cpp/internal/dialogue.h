#ifndef FIFOBUS_CLIENTS_CPP_INTERNAL_DIALOGUE_H_
#define FIFOBUS_CLIENTS_CPP_INTERNAL_DIALOGUE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "clients/cpp/deadline.h"
#include "clients/cpp/internal/confirms.h"
#include "clients/cpp/internal/connection.h"
#include "clients/cpp/internal/numbering.h"
#include "clients/cpp/internal/one_caller.h"
#include "clients/cpp/internal/positions.h"
#include "clients/cpp/internal/requests.h"
#include "clients/cpp/internal/send_buffer.h"
#include "clients/cpp/internal/subscriptions.h"
#include "clients/cpp/internal/taken_back.h"
#include "proto/frame.h"
#include "proto/frame.pb.h"

namespace fifobus {

// The control frames between a client and its broker: questions, answers, and
// the beginning of each new session. Outbound and Inbound, which carry the
// messages, use it.
//
// Answers come among the messages in `down`. The dialogue finds them by
// scanning ahead in what was read; the messages before them stay to be
// received.
//
// Waits only in WaitFor, and in functions that say so. Thread-compatible.
class Dialogue {
 public:
  // `kept_bytes_max` is of Confirms.
  Dialogue(std::unique_ptr<Connection> connection, Numbering numbering,
           size_t kept_bytes_max)
      : connection_(std::move(connection)),
        numbering_(numbering),
        confirms_(kept_bytes_max) {
    connection_->OnRemains(
        [this](Remains remains) { OnRemains(std::move(remains)); });
  }

  Connection& connection() { return *connection_; }
  const Connection& connection() const { return *connection_; }
  Subscriptions& subscriptions() { return subscriptions_; }
  Positions& positions() { return positions_; }
  Confirms& confirms() { return confirms_; }
  Numbering& numbering() { return numbering_; }
  Requests& requests() { return requests_; }

  // What every call of the client begins with. In the child of a fork it makes
  // the client forget its session.
  [[nodiscard]] OneCaller::Call Enter() {
    if (connection_->IsOfParent()) [[unlikely]]
      Forget();
    return OneCaller::Call(callers_);
  }
  // Whether this is the child of a fork, so that nothing is left to be told.
  bool forgotten() const { return forgotten_; }
  void Forget();

  // Connecting, subscribing anew: what calls do after Enter.
  void Progress() {
    refusal_ = absl::OkStatus();
    if (connection_->IsConnecting()) Connect();
    if (connection_->sessions() != sessions_begun_) OnSessionBegun();
  }

  // Why the last call failed or why there is no session.
  const absl::Status& status() const {
    return refusal_.ok() ? connection_->status() : refusal_;
  }
  void SetRefusal(absl::Status refusal) { refusal_ = std::move(refusal); }

  // What the next session begins with, because the last one's broker had not
  // read it.
  bool HasRemains() const { return taken_back_.messages() > 0; }
  const TakenBack& taken_back() const { return taken_back_; }
  // Whether a message of this own id goes from the session that ended last into
  // the one after it, and so is still to be answered.
  bool IsToBeAnswered(uint64_t id) const {
    return taken_back_.confirm_ids().contains(kOwnConfirmIds + id);
  }

  // Messages that had expired when they were to be handed out.
  uint64_t expired_messages() const { return expired_messages_; }
  void CountExpired() { ++expired_messages_; }

  // As Connection::Read and WaitAndRead. At the end of `down` they first act on
  // what came before it, since that belongs to the session that is over.
  Connection::ReadOutcome Read() { return Settle(connection_->Read()); }
  Connection::ReadOutcome WaitAndRead(Deadline deadline) {
    callers_.StayInside();
    return Settle(connection_->WaitAndRead(deadline, WantedRoom()));
  }
  // Reads once, and acts on the answers in it.
  Connection::ReadOutcome ReadAhead();
  // An answer that Inbound has come upon.
  void OnControl(const FrameView& view);
  // The broker sent nonsense, which ends the session for good.
  void OnBadFrame(FrameFault fault);

  // Sends a frame, if there is a session, without waiting: the rest follows at
  // later calls.
  void Send(const pb::Frame& frame);
  void SendSubscribe(Subscriptions::Subscription& subscription);
  void FlushWithoutWaiting();
  // Tells the broker what durable readers are done with, as Send does.
  void SendPositions();
  // While there are batches, frames gather.
  void BeginBatch() { ++open_batches_; }
  void EndBatch() { --open_batches_; }
  bool batching() const { return open_batches_ > 0; }
  // Whether what is unwritten is to be written: in a batch, only the rest of
  // what was begun.
  bool WantsToWrite() const {
    return connection_->unwritten() > 0 &&
           (!batching() || connection_->has_begun());
  }

  // Numbers whatever is to be answered; from 1.
  uint64_t NextId() { return ++last_id_; }

  // The confirm_id of an own message, which no user's equals: those are below.
  static constexpr uint64_t kOwnConfirmIds = Confirms::kOwnIds;

  // Waits until `done`, whatever the mode. What a batch holds goes out before,
  // since the answer may depend on it. DeadlineExceeded: `what` did not
  // come in time. Otherwise an error if there will never be a session.
  absl::Status WaitFor(absl::FunctionRef<bool()> done, absl::Duration timeout,
                       std::string_view what);
  // Sends a question and waits for its answer, the frame that repeats `id`.
  // Unavailable if the session ended meanwhile.
  absl::StatusOr<pb::Frame> Ask(const pb::Frame& question, uint64_t id,
                                absl::Duration timeout, std::string_view what);
  // Waits for the answer to what was sent by other means as `id`.
  absl::StatusOr<pb::Frame> AwaitAnswer(uint64_t id, absl::Duration timeout,
                                        std::string_view what);

 private:
  Connection::Room WantedRoom() const {
    return WantsToWrite() ? Connection::Room::kWanted
                          : Connection::Room::kUnwanted;
  }
  Connection::ReadOutcome Settle(Connection::ReadOutcome outcome) {
    if (outcome == Connection::ReadOutcome::kEnd) [[unlikely]]
      OnDownEnded();
    return outcome;
  }
  void OnDownEnded();
  void Connect();
  void OnSessionBegun();
  void OnRemains(Remains remains);
  void Write();
  // Makes fd() readable if there is something for Receive.
  void ShowReadAhead();
  std::string LateText(std::string_view what, absl::Duration timeout) const;

  // Acts on all answers that were read, and leaves the rest to Receive.
  void Scan();
  enum class ScanOutcome { kScanned, kPartial, kBad };
  [[nodiscard]] ScanOutcome ScanFrame();
  enum class Whose { kReceives, kOurs };
  Whose WhoseIs(const FrameView& view);
  Whose WhoseIsMessage(const MessageView& message);
  Whose WhoseIsConfirm(const pb::Confirm& confirm);
  void OnSubscribed(const pb::Subscribed& subscribed);
  void OnOldBroker(const Subscriptions::Subscription& made);
  void OnConfirm(const FrameView& view);
  void OnError(const pb::Error& error);
  void OnAnswer(uint64_t id, const FrameView& view);

  const std::unique_ptr<Connection> connection_;
  OneCaller callers_;
  Subscriptions subscriptions_;
  Positions positions_{subscriptions_};
  Numbering numbering_;
  Confirms confirms_;
  Requests requests_;
  TakenBack taken_back_;
  absl::Status refusal_;
  uint64_t expired_messages_ = 0;
  bool forgotten_ = false;
  bool delivery_scanned_ = false;  // as the last frame
  uint64_t sessions_begun_ = 0;
  int open_batches_ = 0;

  uint64_t last_id_ = 0;
  uint64_t awaited_id_ = 0;
  std::optional<pb::Frame> answer_;
};

}  // namespace fifobus

#endif  // FIFOBUS_CLIENTS_CPP_INTERNAL_DIALOGUE_H_
