#ifndef FIFOBUS_BROKER_CORE_SESSIONS_OWED_CONFIRMS_H_
#define FIFOBUS_BROKER_CORE_SESSIONS_OWED_CONFIRMS_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "broker/core/logs/named_publisher.h"
#include "broker/core/routing/router.h"
#include "broker/core/sessions/pending_answers.h"
#include "proto/frame.h"

namespace fifobus {

// The Confirms that one session is owed for what it has published since the
// last flush. Only the flush says where the messages lie in their logs.
//
// Worker-affine; owned by a Session.
class OwedConfirms {
 public:
  // Both must live as long as this.
  OwedConfirms(const Router& router, PendingAnswers& pending)
      : router_(router), pending_(pending) {}

  // For the message that the router has added last, or found to be a repeat.
  void Add(const MessageView& message, bool duplicate);

  // Passes them on, after the router's Flush and before its next Add. `named`:
  // the session's publisher, if that has a name.
  void Settle(NamedPublisher* named);

 private:
  struct Owed {
    PendingConfirm answer;
    uint64_t sequence = 0;
    std::optional<Router::Receivers::Place> place;
  };

  void NoteBatches();
  void SettleStored(Owed& owed) const;
  void SettleDuplicate(Owed& owed, NamedPublisher& named);

  const Router& router_;
  PendingAnswers& pending_;
  std::vector<Owed> owed_;
};

// The level that a client asks for, which may not be one that is known here.
pb::Confirm::Level LevelOf(uint32_t level);

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_SESSIONS_OWED_CONFIRMS_H_
