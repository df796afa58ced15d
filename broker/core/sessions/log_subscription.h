#ifndef FIFOBUS_BROKER_CORE_SESSIONS_LOG_SUBSCRIPTION_H_
#define FIFOBUS_BROKER_CORE_SESSIONS_LOG_SUBSCRIPTION_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "broker/core/delivery/egress.h"
#include "broker/core/delivery/room_listener.h"
#include "broker/core/delivery/room_listeners.h"
#include "broker/core/groups/ack_ledger.h"
#include "broker/core/groups/memberships.h"
#include "broker/core/logs/log_watch.h"
#include "broker/core/logs/served_log.h"
#include "broker/core/readers/log_cursor.h"
#include "broker/core/readers/log_target.h"
#include "broker/core/readers/tail_search.h"
#include "broker/core/sessions/answers.h"
#include "broker/options.h"
#include "broker/seam/feed.h"
#include "broker/state/reader_state.pb.h"
#include "proto/frame.pb.h"

namespace fifobus {

// What the subscriptions of one session that read logs have in common. All must
// live as long as they.
struct LogReading {
  const BrokerOptions& options;
  size_t worker;     // the index of the session's
  uint64_t session;  // its number
  const std::shared_ptr<Egress>& egress;
  Answers& answers;
  RoomListeners& rooms;
  Memberships& memberships;
  // Ends the session, because another has taken a name of it. Any thread.
  const std::function<void(std::string text)>& fence;
};

// A subscription that reads a log: where it begins, what the client is told,
// and what the client says that it is done with.
//
//   starting --Subscribed--> reading --CaughtUp--> reading on, or ended
//
// It is starting while the beginning is looked for, and while a new durable
// reader is not on disk. As a member of a group it joins that then, and reads
// nothing itself: what comes and what is answered is the session's
// Memberships' concern.
//
// Worker-affine. Owned by LogSubscriptions.
class LogSubscription : public LogWaiter, public RoomListener {
 public:
  // Called last, when something came of a turn that no request of the client
  // led to: the session is over, or this has ended.
  using OnTurn = std::function<void(LogSubscription&, FeedOutcome)>;

  // `subscribe` is one whose pattern the log serves: wholly, if it stores no
  // others. If it names a group, that acknowledges as `rule` says.
  LogSubscription(const LogReading& reading, std::shared_ptr<ServedLog> log,
                  bool whole, const pb::Subscribe& subscribe,
                  const AckRule& rule, OnTurn on_turn);
  LogSubscription(const LogSubscription&) = delete;
  LogSubscription& operator=(const LogSubscription&) = delete;

  // Answers, now or later. Refused: it has ended.
  FeedOutcome Begin();

  // What an upgrade takes over of one that has begun. Restore takes the place of
  // Begin, answers nothing, and has a turn soon.
  pb::state::LogSubscription Export() const;
  void Restore(const pb::state::LogSubscription& state);

  // The client is done up to this offset. Also after Stop.
  void Settle(uint64_t up_to_offset);

  // It gets nothing more. Idempotent.
  void Stop();
  // And its durable reader is not used by it any more.
  void End();

  // Nothing comes of it any more.
  bool ended() const { return phase_ == Phase::kEnded; }
  uint64_t request_id() const { return request_id_; }
  const std::string& pattern() const { return pattern_; }
  const std::string& group() const { return group_; }
  bool durable() const { return !durable_.empty(); }

  void OnLogProgress() override;
  void OnRoom() override;

 private:
  enum class Phase { kNew, kSearching, kStoring, kReading, kStopped, kEnded };

  // Each returns kClose if the session is over.
  FeedOutcome Refuse(pb::Error::Code code, std::string text);
  // Finds the beginning, as far as it can now.
  FeedOutcome BeginAt(const pb::Start& start);
  FeedOutcome Search();
  FeedOutcome OnStart(uint64_t offset);
  // Takes the durable reader, and answers when it is on disk.
  FeedOutcome OpenReader(uint64_t offset);
  FeedOutcome TakeReader(std::shared_ptr<DurableReader> reader);
  void UseReader(std::shared_ptr<DurableReader> reader);
  void Watch();
  FeedOutcome AwaitStored();
  FeedOutcome Answer(uint64_t offset, OffsetSet done);
  FeedOutcome SendSubscribed(uint64_t offset);
  FeedOutcome JoinGroup(uint64_t offset);
  // Reads on.
  FeedOutcome Turn();
  FeedOutcome SayCaughtUp();
  void NotePassed();
  FeedOutcome GoOn();

  const LogReading reading_;
  const std::shared_ptr<ServedLog> log_;
  const uint64_t request_id_;
  const std::string pattern_;
  const std::string filter_;  // empty: all of the log
  const std::string durable_;
  const std::string group_;
  const AckRule rule_;
  const std::optional<pb::Start> start_;
  const bool until_now_;
  const OnTurn on_turn_;

  Phase phase_ = Phase::kNew;
  bool watching_ = false;
  bool wants_room_ = false;
  EgressTarget target_;
  std::optional<TailSearch> search_;
  std::optional<LogCursor> cursor_;

  std::shared_ptr<DurableReader> reader_;
  uint64_t use_ = 0;
  // Shared with what another session calls.
  std::shared_ptr<std::atomic<bool>> fenced_;
  uint64_t settled_ = 0;  // the last offset the client has named
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_SESSIONS_LOG_SUBSCRIPTION_H_
