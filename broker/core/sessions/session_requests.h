#ifndef FIFOBUS_BROKER_CORE_SESSIONS_SESSION_REQUESTS_H_
#define FIFOBUS_BROKER_CORE_SESSIONS_SESSION_REQUESTS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_set.h"
#include "broker/base/mutex.h"
#include "broker/core/delivery/egress.h"
#include "broker/core/delivery/room_listeners.h"
#include "broker/core/groups/group_table.h"
#include "broker/core/groups/memberships.h"
#include "broker/core/retained/retained_store.h"
#include "broker/core/routing/router.h"
#include "broker/core/routing/subscription_table.h"
#include "broker/core/sessions/answers.h"
#include "broker/core/sessions/log_subscriptions.h"
#include "broker/core/sessions/publisher_claims.h"
#include "broker/core/sessions/stats_source.h"
#include "broker/counters.h"
#include "broker/options.h"
#include "broker/seam/feed.h"
#include "proto/frame.pb.h"

namespace fifobus {

// What a session needs of its broker. All must live as long as the session.
struct SessionContext {
  const BrokerOptions& options;
  SubscriptionTable& table;
  Router& router;  // of the session's worker
  Counters& counters;
  const StatsSource& stats;
  // Called after a subscription was added: lines may wait for it.
  const std::function<void()>& on_subscribed;
  RetainedStore& retained;
  GroupTable& groups;
  PublisherClaims& publishers;
  size_t worker;  // the index of the session's
};

// What one client asks of the broker, and what it has asked for so far: its
// queue's policy, its patterns and its groups. Not here: the order in which
// frames may come, and messages (Session).
//
// Worker-affine, but for AppendPatterns, which any thread may call. Owned by a
// Session.
class SessionRequests {
 public:
  // `number`: the session's. `fence` and `on_answers`: see Session.
  SessionRequests(uint64_t number, const SessionContext& context,
                  std::shared_ptr<Egress> egress, Answers& answers,
                  const LogSubscriptions::Fence& fence,
                  LogSubscriptions::OnAnswers on_answers);

  // The user, before the first request.
  void SetOwner(uint32_t uid) { uid_ = uid; }

  // Puts in force what the Hello asks for, within what the broker allows.
  // Nothing: the bus does not allow this policy.
  std::optional<OverflowPolicy> SetPolicy(const pb::Hello& hello);

  // Each answers, and returns kClose when the session is over.
  FeedOutcome OnSubscribe(const pb::Subscribe& subscribe);
  FeedOutcome OnUnsubscribe(const pb::Unsubscribe& unsubscribe);
  FeedOutcome OnAck(const pb::Ack& ack);
  FeedOutcome OnStats(const pb::Stats& stats);
  FeedOutcome OnLogRequest(const pb::LogRequest& request);

  // A pattern of its subscriptions that the rules do not allow any more.
  std::optional<std::string> FindDenied() const;

  // Removes its subscriptions. Idempotent.
  void EndSubscriptions();
  // Its subscriptions to logs get nothing more. Idempotent.
  void StopReading() { log_subscriptions_.Stop(); }
  // Leaves its queue groups and its durable readers. Idempotent.
  void EndMemberships();
  // Before that: messages of groups without acks that the client has read and
  // not handed to its program.
  void NoteTakenAlong(uint64_t messages) { taken_along_ = messages; }

  void AppendPatterns(pb::StatsReply::Session& session) const;

 private:
  friend class SessionTransfer;

  // Whether the user may have all of the pattern's topics.
  bool MaySubscribe(std::string_view pattern) const;
  bool HasRoomForPattern() const;
  // Lets the rules choose the policy of a client that has not chosen one.
  void SettlePolicy(std::string_view pattern);
  // Subscribe with a group.
  FeedOutcome OnJoin(const pb::Subscribe& subscribe);
  FeedOutcome AnswerSubscribed(uint64_t request_id);

  const SessionContext context_;
  const std::shared_ptr<Egress> egress_;
  Answers& answers_;
  const std::shared_ptr<RoomListeners> rooms_;
  const std::unique_ptr<Memberships> memberships_;
  LogSubscriptions log_subscriptions_;
  uint32_t uid_ = 0;
  uint64_t taken_along_ = 0;  // as Goodbye has it
  // Until the first pattern, of a client that has not chosen.
  std::optional<OverflowPolicy> open_policy_;

  mutable Mutex mutex_;
  absl::flat_hash_set<std::string> patterns_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_SESSIONS_SESSION_REQUESTS_H_
