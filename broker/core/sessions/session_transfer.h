#ifndef FIFOBUS_BROKER_CORE_SESSIONS_SESSION_TRANSFER_H_
#define FIFOBUS_BROKER_CORE_SESSIONS_SESSION_TRANSFER_H_

#include "broker/core/sessions/session.h"
#include "broker/seam/state_chunks.h"
#include "broker/state/session_state.pb.h"

namespace fifobus {

// A session in an upgrade: its phase, its client, its will, its subscriptions
// and what it is owed. The client is told nothing, and gets no retained values
// again. Not here: its egress (EgressTransfer) and its pipes (SessionLink).
//
// Worker-affine, as the session.
class SessionTransfer {
 public:
  // Between two chunks.
  static pb::state::Session Export(const Session& session, StateChunks& chunks);

  // REQUIRES: the session is new, and has its valve, its owner, its fence and
  // what runs on answers. Its egress is restored, and so are the groups.
  static void Restore(const pb::state::Session& state,
                      const StateChunks& chunks, Session& session);
  // Sends what the session is owed by now, when its pipe is open. kClose: it is
  // over.
  [[nodiscard]] static FeedOutcome Resume(Session& session);

 private:
  static pb::state::SessionRequests Export(const SessionRequests& requests);
  static FeedOutcome Restore(const pb::state::SessionRequests& state,
                             SessionRequests& requests);
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_SESSIONS_SESSION_TRANSFER_H_
