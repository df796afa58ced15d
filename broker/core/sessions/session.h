#ifndef FIFOBUS_BROKER_CORE_SESSIONS_SESSION_H_
#define FIFOBUS_BROKER_CORE_SESSIONS_SESSION_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_set.h"
#include "absl/time/clock.h"
#include "broker/base/mutex.h"
#include "broker/core/delivery/egress.h"
#include "broker/core/groups/group_table.h"
#include "broker/core/groups/memberships.h"
#include "broker/core/retained/retained_store.h"
#include "broker/core/routing/router.h"
#include "broker/core/routing/subscription_table.h"
#include "broker/core/sessions/presence.h"
#include "broker/core/sessions/will.h"
#include "broker/counters.h"
#include "broker/options.h"
#include "broker/seam/feed.h"
#include "proto/frame.h"
#include "proto/frame.pb.h"
#include "proto/repeated_message.h"

namespace fifobus {

// Answers a client's Stats. Thread-safe.
class StatsSource {
 public:
  virtual ~StatsSource() = default;
  virtual pb::StatsReply CollectStats() const = 0;
  // Only what is known of one topic, which is valid.
  virtual pb::StatsReply CollectTopic(const std::string& topic) const = 0;
};

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
};

// One client as the core sees it: what its frames mean and what is answered.
//
//   awaiting Hello --Hello--> open --bad frame, hang-up--> over
//
// The bytes of `up` come in through the Feed; answers and messages go out
// through the Egress of `down`. Not here: pipes, and when they close; the owner
// closes them when the Feed says kClose.
//
// Worker-affine, but for AppendStats, which any thread may call.
class Session : public Feed {
 public:
  // `number` counts the sessions of the broker from 1.
  Session(uint64_t number, const SessionContext& context,
          std::shared_ptr<Egress> egress);

  // The valve of `up`, and the user that owns `up`. Before the first Take.
  void SetValve(std::shared_ptr<Valve> valve);
  void SetOwner(uint32_t uid) { client_uid_ = uid; }

  FeedResult Take(const ChunkRef& chunk, std::string_view bytes) override;
  FeedOutcome OnHangUp(std::string_view rest) override;
  void OnHalfReceivedLimit() override;

  // Removes its subscriptions and closes its egress; what comes in is still
  // published. Idempotent.
  void EndSubscriptions();
  // Leaves its queue groups. To be called when all that came in was taken: it
  // may hold Acks for messages that others would otherwise get once more.
  // Idempotent.
  void EndMemberships();

  // Publishes its will, unless it said Goodbye, and the event that it is gone,
  // with a reason if the broker has ended it. After the last Take, and not when
  // the broker stops.
  void PublishEnd(std::string_view reason);

  // New rules are in force. kClose: they deny one of its subscriptions, and the
  // client was told so.
  [[nodiscard]] FeedOutcome OnRules();

  // The broker is stopping: says Goodbye.
  void SayGoodbye(std::string_view reason);

  void AppendStats(pb::StatsReply& reply) const;

  uint64_t number() const { return number_; }
  // Why it is over, for the log; empty: the client left.
  const std::string& end_reason() const { return end_reason_; }
  // "name[pid]" as the client said in its Hello.
  std::string ClientText() const;

 private:
  enum class State { kAwaitingHello, kOpen, kOver };

  // A message at the front of `bytes`, if it repeats the one before.
  bool TakeRepeated(std::string_view bytes);
  // Each returns kClose when the session is over.
  FeedOutcome TakeFrame(std::string_view frame);
  FeedOutcome TakeMessage(std::string_view frame, std::string_view member);
  FeedOutcome TakeControl(const FrameView& view);
  template <typename Control>
  FeedOutcome TakeParsed(const FrameView& view,
                         FeedOutcome (Session::*take)(const Control&));
  FeedOutcome TakeHello(const pb::Hello& hello);
  // What the client asks for, within what the broker allows.
  OverflowPolicy PolicyOf(const pb::Hello& hello) const;
  FeedOutcome Greet(const OverflowPolicy& policy);
  FeedOutcome TakeSubscribe(const pb::Subscribe& subscribe);
  FeedOutcome TakeUnsubscribe(const pb::Unsubscribe& unsubscribe);
  // Whether the user may have all of the pattern's topics.
  bool MaySubscribe(std::string_view pattern) const;
  // The rules choose the policy of a client that has not chosen one.
  void TakePolicyOf(std::string_view pattern);
  // Subscribe with a group.
  FeedOutcome TakeJoin(const pb::Subscribe& subscribe);
  FeedOutcome TakeAck(const pb::Ack& ack);
  FeedOutcome TakePing(const pb::Ping& ping);
  FeedOutcome TakeStats(const pb::Stats& stats);

  // Offers what was published, and then confirms it.
  FeedOutcome FlushMessages();
  void Confirm(const MessageView& message);

  FeedOutcome Answer(const pb::Frame& frame);
  FeedOutcome AnswerBytes(std::string_view frames);
  FeedOutcome AnswerSubscribed(uint64_t request_id);
  FeedOutcome AnswerError(pb::Error::Code code, std::string text,
                          uint64_t request_id);
  // Tells the client why, and ends.
  FeedOutcome Refuse(pb::Error::Code code, std::string text);
  FeedOutcome Deny(std::string_view what, std::string_view name);
  FeedOutcome RefuseFrame(FrameFault fault);
  ClientIdentity Identity() const;

  const uint64_t number_;
  const SessionContext context_;
  const std::shared_ptr<Egress> egress_;
  const std::shared_ptr<Memberships> memberships_;
  std::shared_ptr<Valve> valve_;
  State state_ = State::kAwaitingHello;
  std::string end_reason_;
  uint64_t taken_messages_ = 0;  // since the last flush
  uint64_t taken_bytes_ = 0;     // of their frames
  RepeatedMessage repeated_;     // since Take began
  std::string confirms_;         // frames, to be sent after the next flush
  Will will_;
  uint32_t client_uid_ = 0;
  // Until the first pattern, of a client that has not chosen.
  std::optional<OverflowPolicy> open_policy_;
  bool greeted_ = false;  // Hello was accepted
  bool left_ = false;     // the client said Goodbye
  Counter published_;
  Counter published_bytes_;
  const uint64_t connected_unix_nanos_ =
      static_cast<uint64_t>(absl::GetCurrentTimeNanos());

  mutable Mutex mutex_;
  std::string client_name_ ABSL_GUARDED_BY(mutex_);
  uint32_t client_pid_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::flat_hash_set<std::string> patterns_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_SESSIONS_SESSION_H_
