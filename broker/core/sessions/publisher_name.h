#ifndef FIFOBUS_BROKER_CORE_SESSIONS_PUBLISHER_NAME_H_
#define FIFOBUS_BROKER_CORE_SESSIONS_PUBLISHER_NAME_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "broker/core/logs/log_table.h"
#include "broker/core/logs/named_publisher.h"
#include "broker/core/sessions/pending_answers.h"
#include "broker/core/sessions/publisher_claims.h"
#include "proto/frame.pb.h"

namespace fifobus {

// The name under which one session publishes, if it has one, for as long as no
// other session takes it.
//
// Worker-affine; owned by a Session.
class PublisherName {
 public:
  // `claims` must live as long as this. `session`: its number.
  PublisherName(PublisherClaims& claims, uint64_t session)
      : claims_(claims), session_(session) {}

  // Takes the name, and begins a turn: see PublisherClaim.
  void Take(const std::string& name, PublisherClaim::Fence fence);
  // The same after an upgrade, without a turn. `lost`: another session had it.
  void Restore(const std::string& name, bool lost, PublisherClaim::Fence fence);
  // Idempotent.
  void GiveUp();

  // A turn of the session, if it has a name.
  void BeginTurn();
  void EndTurn() { turn_.reset(); }
  // Another session has the name. REQUIRES: a turn was begun.
  bool is_lost() const { return turn_ && !turn_->is_owner(); }

  // The same of a session that has no turn and may have no name.
  bool HasLost() const {
    return claim_ && !PublisherClaim::Turn(*claim_, session_).is_owner();
  }

  // Null: it has none.
  NamedPublisher* named() const { return named_.get(); }

  // Says where the name stands in each log, also with what is not on disk yet:
  // a client that numbers on from there must not use a number twice.
  void AddMarks(const LogTable& logs, pb::Welcome& welcome,
                PendingAnswers& pending) const;

 private:
  PublisherClaims& claims_;
  const uint64_t session_;
  std::unique_ptr<NamedPublisher> named_;
  std::shared_ptr<PublisherClaim> claim_;
  std::optional<PublisherClaim::Turn> turn_;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_SESSIONS_PUBLISHER_NAME_H_
