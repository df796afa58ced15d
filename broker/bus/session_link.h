#ifndef FIFOBUS_BROKER_BUS_SESSION_LINK_H_
#define FIFOBUS_BROKER_BUS_SESSION_LINK_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "broker/base/unique_fd.h"
#include "broker/bus/bus_parts.h"
#include "broker/core/delivery/egress.h"
#include "broker/core/sessions/session.h"
#include "broker/io/egress_pipe.h"
#include "broker/io/ingress_pipe.h"
#include "broker/seam/state_chunks.h"
#include "broker/seam/state_ingresses.h"
#include "broker/state/session_state.pb.h"

namespace fifobus {

// One client's two pipes tied to its session in the core, and the order in
// which they end:
//
//   `up` hangs up, or a frame is refused
//       All ends at once, with its will. A client that has left and still reads
//       `down` gets the answers first that wait for a log.
//   nobody reads `down`
//       Subscriptions end. What is in `up` is published, and then all ends.
//   the broker stops
//       Goodbye is sent, and `up` is read to its end. `down` stays open until
//       End.
//
// Worker-affine, but for the functions that say otherwise. Held by shared_ptr.
class SessionLink : public std::enable_shared_from_this<SessionLink> {
 public:
  // `on_end` runs once, on the worker's thread, when the pipes are closed.
  static absl::StatusOr<std::shared_ptr<SessionLink>> Open(
      uint64_t number, BusParts& parts, Worker& worker, UniqueFd up,
      UniqueFd down, std::function<void(uint64_t number)> on_end);

  // Goes on where the link of the old broker stood, of the pipes that the state
  // names. The caller adds it to what holds links. Groups are restored, and no
  // worker reads yet.
  static absl::StatusOr<std::shared_ptr<SessionLink>> Restore(
      const pb::state::SessionLink& state, BusParts& parts, Worker& worker,
      const StateChunks& chunks, StateIngresses& ingresses,
      std::function<void(uint64_t number)> on_end);
  // What an upgrade takes over; all ingresses have been added. REQUIRES:
  // !ended(), and that it has not been told of a stop.
  pb::state::SessionLink Export(StateChunks& chunks,
                                const StateIngresses& ingresses) const;
  // Its own ingress, unless that is closed, by the session's number.
  void AddIngress(StateIngresses& ingresses) const;
  // It is closed, and about to be forgotten.
  bool ended() const { return on_end_ == nullptr; }

  // Other rules are in force.
  void OnRules();

  // Says Goodbye and lets the client finish.
  void BeginStop();
  void End();

  // Any thread.
  uint64_t number() const { return number_; }
  Worker& worker() const { return worker_; }
  void AppendStats(pb::StatsReply& reply) const;
  // `up` has been read to its end, and no answer waits for a log.
  bool finished() const { return finished_.load(); }
  size_t queued_bytes() const { return egress_->state().queued_bytes; }

  // What the client wrote and the broker has not taken.
  size_t unread_bytes() const { return up_ ? up_->unread_bytes() : 0; }

 private:
  SessionLink(uint64_t number, BusParts& parts, Worker& worker, UniqueFd down,
              uint32_t egress_id, std::function<void(uint64_t)> on_end);

  // Each ties a pipe to the session.
  absl::Status OpenUp(UniqueFd up);
  absl::Status OpenDown();
  void SetCallbacks();

  void OnUpClosed();
  void OnNoReader();
  // A log's progress made answers due.
  void OnAnswers(FeedOutcome outcome);
  // Another session has a name that this one had.
  void OnFenced(std::string text);
  void FinishAnswers();
  // Of a link whose `up` was closed before an upgrade.
  void GoOn();
  // Ends when the client has taken what is queued for it.
  void EndWhenRead();

  const uint64_t number_;
  BusParts& parts_;
  Worker& worker_;
  std::function<void(uint64_t)> on_end_;
  const std::shared_ptr<EgressPipe> down_;
  const std::shared_ptr<Egress> egress_;
  Session session_;
  std::shared_ptr<IngressPipe> up_;  // null: closed before an upgrade
  bool stopping_ = false;
  bool up_closed_ = false;
  absl::Duration end_by_ = absl::InfiniteDuration();  // of EndWhenRead
  bool too_slow_ = false;
  std::atomic<bool> finished_{false};
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_BUS_SESSION_LINK_H_
