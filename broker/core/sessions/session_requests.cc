#include "broker/core/sessions/session_requests.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "broker/core/groups/group_request.h"
#include "broker/core/routing/subscribe_with_retained.h"
#include "broker/core/sessions/log_requests.h"
#include "fmt/format.h"
#include "proto/overflow.h"
#include "proto/topic.h"

namespace fifobus {
namespace {

// The bound in force for a client that asks for `wanted` (0: for none) where
// the broker allows `most` (0: any).
size_t Bounded(uint64_t wanted, size_t most) {
  if (wanted == 0) return most;
  return most == 0 ? wanted : std::min<size_t>(wanted, most);
}

OverflowPolicy PolicyOf(const pb::Hello& hello, const BrokerOptions& options) {
  OverflowPolicy policy;
  policy.overflow = OverflowOf(hello.overflow());
  policy.limits.bytes_max =
      Bounded(hello.queue_bytes_max(), options.egress_queue_bytes_max);
  policy.limits.messages_max =
      Bounded(hello.queue_messages_max(), options.egress_queue_messages_max);
  return policy;
}

bool ChoosesPolicy(const pb::Hello& hello) {
  return hello.overflow() != pb::OVERFLOW_UNSPECIFIED ||
         hello.queue_bytes_max() != 0 || hello.queue_messages_max() != 0;
}

}  // namespace

SessionRequests::SessionRequests(uint64_t number, const SessionContext& context,
                                 std::shared_ptr<Egress> egress,
                                 Answers& answers,
                                 const LogSubscriptions::Fence& fence,
                                 LogSubscriptions::OnAnswers on_answers)
    : context_(context),
      egress_(std::move(egress)),
      answers_(answers),
      rooms_(std::make_shared<RoomListeners>()),
      memberships_(
          std::make_unique<Memberships>(context.groups, egress_, rooms_)),
      log_subscriptions_({context.options, context.worker, number, egress_,
                          answers, *rooms_, *memberships_, fence},
                         std::move(on_answers)) {
  egress_->SetRoomListener(rooms_);
}

std::optional<OverflowPolicy> SessionRequests::SetPolicy(
    const pb::Hello& hello) {
  const OverflowPolicy policy = PolicyOf(hello, context_.options);
  const auto& allowed = context_.options.overflow_allowed;
  if (std::find(allowed.begin(), allowed.end(), policy.overflow) ==
      allowed.end()) {
    return std::nullopt;
  }
  egress_->SetPolicy(policy);
  if (!ChoosesPolicy(hello)) open_policy_ = policy;
  return policy;
}

FeedOutcome SessionRequests::OnSubscribe(const pb::Subscribe& subscribe) {
  const std::string& pattern = subscribe.pattern();
  const uint64_t request_id = subscribe.request_id();
  const TopicFault fault = CheckPattern(pattern);
  if (fault != TopicFault::kNone) {
    return answers_.Refuse(
        request_id, pb::Error::CODE_BAD_PATTERN,
        fmt::format("the pattern {}", PatternFaultText(fault)));
  }
  if (!MaySubscribe(pattern)) {
    return answers_.Refuse(request_id, pb::Error::CODE_DENIED,
                           DeniedText(uid_, "subscribe to", pattern));
  }
  if (subscribe.group().empty() && subscribe.has_acks()) {
    return answers_.Refuse(
        request_id, pb::Error::CODE_BAD_GROUP,
        "only the members of a group acknowledge: name a group");
  }
  if (!HasRoomForPattern()) {
    return answers_.Refuse(request_id, pb::Error::CODE_LIMIT,
                           fmt::format("a session may have {} patterns",
                                       context_.options.session_patterns_max));
  }
  const bool reads = LogSubscriptions::Takes(subscribe);
  if (!subscribe.group().empty() && !reads) return OnJoin(subscribe);
  if (subscribe.group().empty()) SettlePolicy(pattern);
  if (reads) {
    return log_subscriptions_.OnSubscribe(subscribe,
                                          context_.table.snapshot()->logs());
  }
  if (subscribe.skip_retained()) {
    context_.table.Add(pattern, egress_);
  } else {
    SubscribeWithRetained(context_.retained, context_.table, pattern, egress_);
  }
  {
    // Not before: a client that sees the pattern in Stats may publish and
    // expect its message to arrive.
    MutexLock lock(mutex_);
    patterns_.insert(pattern);
  }
  // Only now: what is published after this answer was read finds the entry.
  const FeedOutcome outcome = AnswerSubscribed(request_id);
  context_.on_subscribed();
  return outcome;
}

FeedOutcome SessionRequests::OnJoin(const pb::Subscribe& subscribe) {
  const GroupRequest request = ReadGroupRequest(subscribe, context_.options);
  std::string fault = request.fault;
  std::shared_ptr<Group> group;
  if (fault.empty()) {
    group = memberships_->Join({subscribe.pattern(), subscribe.group()},
                               request.rule);
    if (group == nullptr) {
      fault = "the group exists and acknowledges in another way";
    }
  }
  if (group == nullptr) {
    return answers_.Refuse(subscribe.request_id(), pb::Error::CODE_BAD_GROUP,
                           std::move(fault));
  }
  context_.on_subscribed();
  const FeedOutcome outcome = AnswerSubscribed(subscribe.request_id());
  group->OnJoined();
  return outcome;
}

FeedOutcome SessionRequests::OnUnsubscribe(const pb::Unsubscribe& unsubscribe) {
  bool known = false;
  if (unsubscribe.group().empty()) {
    MutexLock lock(mutex_);
    known = patterns_.erase(unsubscribe.pattern()) > 0;
  } else {
    memberships_->Leave(unsubscribe.pattern(), unsubscribe.group());
  }
  log_subscriptions_.Unsubscribe(unsubscribe.pattern(), unsubscribe.group());
  if (known) {
    egress_->NoteUnsubscribed(
        context_.table.Remove(unsubscribe.pattern(), egress_->id()));
  }
  pb::Frame frame;
  frame.mutable_unsubscribed()->set_request_id(unsubscribe.request_id());
  return answers_.Send(frame);
}

FeedOutcome SessionRequests::OnAck(const pb::Ack& ack) {
  if (ack.subscription() != 0) log_subscriptions_.OnAck(ack);
  if (ack.ack_ids_size() > 0) memberships_->Acknowledge(ack);
  return FeedOutcome::kContinue;
}

FeedOutcome SessionRequests::OnStats(const pb::Stats& stats) {
  if (!stats.topic().empty()) {
    const TopicFault fault = CheckTopic(stats.topic());
    if (fault != TopicFault::kNone) {
      return answers_.Refuse(
          stats.request_id(), pb::Error::CODE_BAD_TOPIC,
          fmt::format("the topic {}", TopicFaultText(fault)));
    }
  }
  pb::Frame frame;
  *frame.mutable_stats_reply() =
      stats.topic().empty() ? context_.stats.CollectStats()
                            : context_.stats.CollectTopic(stats.topic());
  frame.mutable_stats_reply()->set_request_id(stats.request_id());
  if (frame.ByteSizeLong() > context_.options.frame_bytes_max) {
    return answers_.Refuse(stats.request_id(), pb::Error::CODE_LIMIT,
                           "the listing is larger than a frame may be");
  }
  return answers_.Send(frame);
}

FeedOutcome SessionRequests::OnLogRequest(const pb::LogRequest& request) {
  return answers_.Send(
      AnswerLogRequest(request, uid_, *context_.table.snapshot()));
}

std::optional<std::string> SessionRequests::FindDenied() const {
  std::vector<std::string> patterns = memberships_->Patterns();
  {
    MutexLock lock(mutex_);
    patterns.insert(patterns.end(), patterns_.begin(), patterns_.end());
  }
  log_subscriptions_.ForEachPattern(
      [&](const std::string& pattern) { patterns.push_back(pattern); });
  for (std::string& pattern : patterns) {
    if (!MaySubscribe(pattern)) return std::move(pattern);
  }
  return std::nullopt;
}

void SessionRequests::EndSubscriptions() {
  absl::flat_hash_set<std::string> patterns;
  {
    MutexLock lock(mutex_);
    patterns.swap(patterns_);
  }
  for (const std::string& pattern : patterns) {
    (void)context_.table.Remove(pattern, egress_->id());
  }
  log_subscriptions_.Stop();
}

void SessionRequests::EndMemberships() {
  memberships_->End(taken_along_);
  log_subscriptions_.End();
}

void SessionRequests::AppendPatterns(pb::StatsReply::Session& session) const {
  log_subscriptions_.ForEachPattern(
      [&](const std::string& pattern) { session.add_patterns(pattern); });
  MutexLock lock(mutex_);
  for (const std::string& pattern : patterns_) session.add_patterns(pattern);
}

bool SessionRequests::MaySubscribe(std::string_view pattern) const {
  return context_.table.snapshot()->rules().MaySubscribe(uid_, pattern);
}

bool SessionRequests::HasRoomForPattern() const {
  MutexLock lock(mutex_);
  return patterns_.size() + memberships_->size() + log_subscriptions_.size() <
         context_.options.session_patterns_max;
}

void SessionRequests::SettlePolicy(std::string_view pattern) {
  if (!open_policy_) return;
  const OverflowPolicy usual = *std::exchange(open_policy_, std::nullopt);
  egress_->SetPolicy(
      context_.table.snapshot()->rules().PolicyOf(pattern, usual));
}

FeedOutcome SessionRequests::AnswerSubscribed(uint64_t request_id) {
  pb::Frame frame;
  frame.mutable_subscribed()->set_request_id(request_id);
  return answers_.Send(frame);
}

}  // namespace fifobus
