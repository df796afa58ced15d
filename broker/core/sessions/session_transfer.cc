#include "broker/core/sessions/session_transfer.h"

#include <set>
#include <string>
#include <utility>

#include "broker/base/check.h"
#include "broker/core/delivery/egress_transfer.h"

namespace fifobus {

pb::state::Session SessionTransfer::Export(const Session& session,
                                           StateChunks& chunks) {
  pb::state::Session state;
  state.set_phase(static_cast<pb::state::Session::Phase>(
      static_cast<int>(session.phase_) +
      pb::state::Session::PHASE_AWAITING_HELLO));
  {
    const MutexLock lock(session.mutex_);
    state.set_client_name(session.client_name_);
    state.set_client_pid(session.client_pid_);
  }
  state.set_client_uid(session.client_uid_);
  state.set_greeted(session.greeted_);
  state.set_left(session.left_);
  state.set_published(session.published_.value());
  state.set_published_bytes(session.published_bytes_.value());
  state.set_connected_unix_nanos(session.connected_unix_nanos_);
  if (!session.will_.empty()) {
    const ChunkRef& will = session.will_.frame();
    *state.mutable_will() = chunks.Export(will, will->view());
  }
  state.set_end_reason(session.answers_.end_reason());
  if (const NamedPublisher* const named = session.name_.named()) {
    state.set_publisher(named->name());
    state.set_publisher_lost(session.name_.HasLost());
  }
  *state.mutable_requests() = Export(session.requests_);
  *state.mutable_pending() = session.pending_.Export();
  return state;
}

void SessionTransfer::Restore(const pb::state::Session& state,
                              const StateChunks& chunks, Session& session) {
  const int phase = state.phase() - pb::state::Session::PHASE_AWAITING_HELLO;
  FIFOBUS_CHECK(phase >= 0 && phase <= static_cast<int>(Session::Phase::kOver));
  session.phase_ = static_cast<Session::Phase>(phase);
  {
    const MutexLock lock(session.mutex_);
    session.client_name_ = state.client_name();
    session.client_pid_ = state.client_pid();
  }
  session.SetOwner(state.client_uid());
  session.greeted_ = state.greeted();
  session.left_ = state.left();
  session.published_.Add(state.published());
  session.published_bytes_.Add(state.published_bytes());
  session.connected_unix_nanos_ = state.connected_unix_nanos();
  if (state.has_will()) {
    StateChunks::Restored will = chunks.Restore(state.will());
    FIFOBUS_CHECK(will.bytes.size() == will.chunk->capacity());
    session.will_.Restore(std::move(will.chunk));
  }
  session.answers_.RestoreEndReason(state.end_reason());
  (void)session.Note(Restore(state.requests(), session.requests_));
  session.pending_.Restore(state.pending(),
                           session.context_.table.snapshot()->logs());
  if (state.publisher().empty()) return;
  const auto fence = [fence = session.fence_, name = state.publisher()] {
    if (fence) fence(FencedText(name));
  };
  session.name_.Restore(state.publisher(), state.publisher_lost(), fence);
  // The session that has taken the name may have told only the old broker.
  if (state.publisher_lost()) fence();
}

FeedOutcome SessionTransfer::Resume(Session& session) {
  return session.Note(session.pending_.Send());
}

pb::state::SessionRequests SessionTransfer::Export(
    const SessionRequests& requests) {
  pb::state::SessionRequests state;
  {
    const MutexLock lock(requests.mutex_);
    // In an order, so that equal sessions have equal states.
    const std::set<std::string> patterns(requests.patterns_.begin(),
                                         requests.patterns_.end());
    for (const std::string& pattern : patterns) state.add_patterns(pattern);
  }
  if (requests.open_policy_) {
    *state.mutable_open_policy() =
        EgressTransfer::ExportPolicy(*requests.open_policy_);
  }
  state.set_taken_along(requests.taken_along_);
  *state.mutable_memberships() = requests.memberships_->Export();
  *state.mutable_log_subscriptions() = requests.log_subscriptions_.Export();
  return state;
}

FeedOutcome SessionTransfer::Restore(const pb::state::SessionRequests& state,
                                     SessionRequests& requests) {
  for (const std::string& pattern : state.patterns()) {
    requests.context_.table.Add(pattern, requests.egress_);
  }
  {
    const MutexLock lock(requests.mutex_);
    requests.patterns_.insert(state.patterns().begin(), state.patterns().end());
  }
  if (state.has_open_policy()) {
    requests.open_policy_ = EgressTransfer::RestorePolicy(state.open_policy());
  }
  requests.taken_along_ = state.taken_along();
  const auto snapshot = requests.context_.table.snapshot();
  requests.memberships_->Restore(
      state.memberships(), [&](const Group::Key& key) {
        return requests.log_subscriptions_.UseReader(snapshot->logs(), key);
      });
  return requests.log_subscriptions_.Restore(state.log_subscriptions(),
                                             snapshot->logs());
}

}  // namespace fifobus
