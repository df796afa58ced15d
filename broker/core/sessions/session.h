#ifndef FIFOBUS_BROKER_CORE_SESSIONS_SESSION_H_
#define FIFOBUS_BROKER_CORE_SESSIONS_SESSION_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/time/clock.h"
#include "broker/base/mutex.h"
#include "broker/core/delivery/egress.h"
#include "broker/core/sessions/answers.h"
#include "broker/core/sessions/owed_confirms.h"
#include "broker/core/sessions/pending_answers.h"
#include "broker/core/sessions/presence.h"
#include "broker/core/sessions/publisher_name.h"
#include "broker/core/sessions/session_requests.h"
#include "broker/core/sessions/will.h"
#include "broker/counters.h"
#include "broker/seam/feed.h"
#include "proto/frame.h"
#include "proto/frame.pb.h"
#include "proto/repeated_message.h"

namespace fifobus {

// One client as the core sees it: which frames it may send when, and what
// becomes of its messages. What it asks for is answered by SessionRequests.
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

  // The valve of `up`, and the user that owns it. Before the first byte.
  void SetValve(std::shared_ptr<Valve> valve);
  void SetOwner(uint32_t uid);

  // `fence(text)` has OnFenced called on the session's worker: any thread calls
  // it. `on_answers` runs after a log's progress made answers due; kClose: the
  // session is over. Before the first byte.
  using Fence = std::function<void(std::string text)>;
  void SetFence(Fence fence) { fence_ = std::move(fence); }
  void SetOnAnswers(PendingAnswers::OnProgress on_answers) {
    on_answers_ = std::move(on_answers);
  }

  FeedResult OnBytes(const ChunkRef& chunk, std::string_view bytes) override;
  FeedOutcome OnHangUp(std::string_view rest) override;
  void OnHalfReceivedLimit() override;

  // Removes its subscriptions and closes its egress; what comes in is still
  // published. Idempotent.
  void EndSubscriptions();
  // Leaves its queue groups. After the last byte: it may hold Acks for messages
  // that others would otherwise get once more. Idempotent.
  void EndMemberships() { requests_.EndMemberships(); }

  // Removes its subscriptions and leaves its groups. What it is still owed is
  // sent. Idempotent.
  void Leave();
  // Whether answers wait for a log.
  bool HasPendingAnswers() const { return !pending_.empty(); }
  bool HasWaitedForAnswers() const { return pending_.has_waited(); }
  // Forgets the answers that wait, and gives its publisher's name up. The last
  // call. Idempotent.
  void Release();

  // Publishes its will, unless it said Goodbye, and the event that it is gone,
  // with a reason if the broker has ended it. After the last byte, and not when
  // the broker stops.
  void PublishEnd(std::string_view reason);

  // New rules are in force. kClose: they deny one of its subscriptions, and the
  // client was told so.
  [[nodiscard]] FeedOutcome OnRules();

  // Another session has a name that this one had: tells the client so.
  [[nodiscard]] FeedOutcome OnFenced(std::string text);

  // The broker is stopping: says Goodbye.
  void SayGoodbye(std::string_view reason);

  void AppendStats(pb::StatsReply& reply) const;

  uint64_t number() const { return number_; }
  // Why the broker has ended it, for the log; empty: the client left.
  const std::string& end_reason() const { return answers_.end_reason(); }
  // "name[pid]" as the client said in its Hello.
  std::string ClientText() const;

 private:
  friend class SessionTransfer;

  enum class Phase { kAwaitingHello, kOpen, kOver };

  // Deals with the frames in `bytes`.
  FeedResult TakeFrames(std::string_view bytes);
  // Routes the message at the front of `bytes` if it repeats the one before.
  bool RouteRepeated(std::string_view bytes);
  // Each returns kClose when the session is over.
  FeedOutcome OnFrame(std::string_view frame);
  FeedOutcome OnMessage(std::string_view frame, std::string_view member);
  FeedOutcome OnControl(const FrameView& view);
  FeedOutcome OnRequest(const FrameView& view);
  // Parses the member and passes it to a function of `target`.
  template <typename Control, typename Target>
  FeedOutcome Parse(const FrameView& view, Target& target,
                    FeedOutcome (Target::*on_control)(const Control&));
  FeedOutcome OnHello(const pb::Hello& hello);
  // Nothing: the Hello is as it should be so far.
  std::optional<FeedOutcome> RefuseHello(const pb::Hello& hello);
  FeedOutcome OnGoodbye(const pb::Goodbye& goodbye);
  FeedOutcome OnPing(const pb::Ping& ping);
  FeedOutcome SetWill(const pb::Message& will);
  FeedOutcome Greet(const OverflowPolicy& policy);

  // Offers what was published, and then confirms it.
  FeedOutcome FlushMessages();

  // Tells the client why, and ends.
  FeedOutcome Refuse(pb::Error::Code code, std::string text);
  FeedOutcome Deny(std::string_view what, std::string_view name);
  FeedOutcome RefuseFrame(FrameFault fault);
  FeedOutcome RefuseFenced();
  // Remembers that the session is over if the outcome says so.
  FeedOutcome Note(FeedOutcome outcome);
  ClientIdentity Identity() const;

  const uint64_t number_;
  const SessionContext context_;
  const std::shared_ptr<Egress> egress_;
  Answers answers_;
  SessionRequests requests_;
  std::shared_ptr<Valve> valve_;
  Phase phase_ = Phase::kAwaitingHello;
  uint64_t unflushed_messages_ = 0;
  uint64_t unflushed_bytes_ = 0;  // of their frames
  RepeatedMessage repeated_;      // since OnBytes began
  PendingAnswers pending_;
  OwedConfirms owed_;
  PublisherName name_;
  PendingAnswers::OnProgress on_answers_;
  Fence fence_;
  Will will_;

  uint32_t client_uid_ = 0;
  bool greeted_ = false;  // Hello was accepted
  bool left_ = false;     // the client said Goodbye
  Counter published_;
  Counter published_bytes_;
  uint64_t connected_unix_nanos_ =
      static_cast<uint64_t>(absl::GetCurrentTimeNanos());

  mutable Mutex mutex_;
  std::string client_name_ ABSL_GUARDED_BY(mutex_);
  uint32_t client_pid_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_SESSIONS_SESSION_H_
