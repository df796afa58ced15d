#ifndef FIFOBUS_BROKER_CORE_SESSIONS_LOG_SUBSCRIPTIONS_H_
#define FIFOBUS_BROKER_CORE_SESSIONS_LOG_SUBSCRIPTIONS_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "broker/base/mutex.h"
#include "broker/base/thread_rule.h"
#include "broker/core/groups/group.h"
#include "broker/core/groups/group_request.h"
#include "broker/core/logs/log_table.h"
#include "broker/core/sessions/log_subscription.h"
#include "broker/seam/feed.h"
#include "broker/state/reader_state.pb.h"
#include "proto/frame.pb.h"

namespace fifobus {

// The subscriptions of one session that read logs.
//
// Worker-affine, asserted, but for AppendPatterns, which any thread may call.
// Owned by SessionRequests.
class LogSubscriptions {
 public:
  // `on_answers` is called when the session is over by what no request led to.
  using OnAnswers = std::function<void(FeedOutcome)>;
  using Fence = std::function<void(std::string text)>;
  LogSubscriptions(const LogReading& reading, OnAnswers on_answers)
      : reading_(reading), on_answers_(std::move(on_answers)) {}

  // Whether it is for this class.
  static bool Takes(const pb::Subscribe& subscribe) {
    return subscribe.has_start() || !subscribe.durable().empty();
  }
  // Answers, now or later. The pattern is valid and allowed.
  FeedOutcome OnSubscribe(const pb::Subscribe& subscribe, const LogTable& logs);
  // Those of the pattern and group end.
  void Unsubscribe(std::string_view pattern, std::string_view group);
  void OnAck(const pb::Ack& ack);

  // What an upgrade takes over. The client is told of a subscription whose log is
  // not served any more.
  pb::state::LogSubscriptions Export() const;
  FeedOutcome Restore(const pb::state::LogSubscriptions& state,
                      const LogTable& logs);
  // The session's use of the reader that a group's members share.
  std::shared_ptr<void> UseReader(const LogTable& logs,
                                  const Group::Key& key) const;

  // They get nothing more, and the client may still say what it is done with.
  void Stop();
  void End();

  // Calls visit(pattern) for each.
  template <typename Visitor>
  void ForEachPattern(const Visitor& visit) const {
    const MutexLock lock(mutex_);
    for (const std::string& pattern : patterns_) visit(pattern);
  }
  size_t size() const { return entries_.size(); }

 private:
  // One clause for people; empty: nothing is wrong.
  std::string DurableFault(const pb::Subscribe& subscribe) const;
  GroupRequest GroupOf(const pb::Subscribe& subscribe) const;
  void OnTurn(LogSubscription& subscription, FeedOutcome outcome);
  void RemoveEnded();

  const LogReading reading_;
  const OnAnswers on_answers_;
  const ThreadRule thread_rule_;
  std::vector<std::unique_ptr<LogSubscription>> entries_;

  mutable Mutex mutex_;
  std::vector<std::string> patterns_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_SESSIONS_LOG_SUBSCRIPTIONS_H_
