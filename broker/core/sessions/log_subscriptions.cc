#include "broker/core/sessions/log_subscriptions.h"

#include <algorithm>
#include <utility>

#include "fmt/format.h"
#include "proto/topic.h"

namespace fifobus {

FeedOutcome LogSubscriptions::OnSubscribe(const pb::Subscribe& subscribe,
                                          const LogTable& logs) {
  thread_rule_.Check();
  const std::string& pattern = subscribe.pattern();
  LogTable::Serving serving = logs.LogServing(pattern);
  if (!serving.log) {
    return reading_.answers.Refuse(
        subscribe.request_id(), pb::Error::CODE_NO_LOG,
        fmt::format("no log stores all topics of {}; the logs are: {}", pattern,
                    logs.Text()));
  }
  std::string fault = DurableFault(subscribe);
  if (!fault.empty()) {
    return reading_.answers.Refuse(
        subscribe.request_id(), pb::Error::CODE_BAD_DURABLE, std::move(fault));
  }
  const GroupRequest group = GroupOf(subscribe);
  if (!group.fault.empty()) {
    return reading_.answers.Refuse(subscribe.request_id(),
                                   pb::Error::CODE_BAD_GROUP, group.fault);
  }
  auto entry = std::make_unique<LogSubscription>(
      reading_, std::move(serving.log), serving.whole, subscribe,
      group.rule.value_or(AckRule()),
      [this](LogSubscription& subscription, FeedOutcome outcome) {
        OnTurn(subscription, outcome);
      });
  LogSubscription& subscription = *entry;
  entries_.push_back(std::move(entry));
  {
    const MutexLock lock(mutex_);
    patterns_.push_back(pattern);
  }
  const FeedOutcome outcome = subscription.Begin();
  RemoveEnded();
  return outcome;
}

pb::state::LogSubscriptions LogSubscriptions::Export() const {
  pb::state::LogSubscriptions state;
  for (const auto& entry : entries_) {
    *state.add_subscriptions() = entry->Export();
  }
  return state;
}

FeedOutcome LogSubscriptions::Restore(const pb::state::LogSubscriptions& state,
                                      const LogTable& logs) {
  thread_rule_.Check();
  FeedOutcome outcome = FeedOutcome::kContinue;
  for (const pb::state::LogSubscription& one : state.subscriptions()) {
    std::shared_ptr<ServedLog> log = logs.Find(one.log());
    if (!log) {
      const FeedOutcome refused = reading_.answers.Refuse(
          one.request_id(), pb::Error::CODE_NO_LOG,
          fmt::format("the broker was upgraded and serves no log {} any more",
                      one.log()));
      if (refused == FeedOutcome::kClose) outcome = refused;
      continue;
    }
    pb::Subscribe subscribe;
    subscribe.set_request_id(one.request_id());
    subscribe.set_pattern(one.pattern());
    subscribe.set_durable(one.durable());
    subscribe.set_group(one.group());
    subscribe.set_until_now(one.until_now());
    entries_.push_back(std::make_unique<LogSubscription>(
        reading_, std::move(log), one.whole(), subscribe,
        AckRule::Restore(one.rule()),
        [this](LogSubscription& subscription, FeedOutcome of_turn) {
          OnTurn(subscription, of_turn);
        }));
    entries_.back()->Restore(one);
  }
  RemoveEnded();
  return outcome;
}

std::shared_ptr<void> LogSubscriptions::UseReader(const LogTable& logs,
                                                  const Group::Key& key) const {
  const std::shared_ptr<ServedLog> log = logs.Find(key.log);
  const auto reader = log ? log->readers().Find(key.durable) : nullptr;
  if (!reader) return nullptr;
  const uint64_t use = reader->Join({reading_.session});
  return {nullptr, [reader, use](void*) { reader->Leave(use); }};
}

std::string LogSubscriptions::DurableFault(
    const pb::Subscribe& subscribe) const {
  const std::string& durable = subscribe.durable();
  const bool in_group = !subscribe.group().empty();
  if (in_group && durable.empty()) {
    return "a group reads a log as a durable reader: name one";
  }
  if (in_group && !subscribe.has_acks()) {
    return "a group that reads a log acknowledges: name its acks";
  }
  if (durable.empty()) return "";
  if (durable.find('/') != std::string::npos ||
      CheckTopicToPublish(durable) != TopicFault::kNone) {
    return "a durable reader's name must be one level of a topic";
  }
  if (subscribe.until_now()) {
    return "until_now is not for a durable reader";
  }
  for (const auto& entry : entries_) {
    if (entry->durable() && Overlaps(entry->pattern(), subscribe.pattern())) {
      return fmt::format(
          "the session reads {} durably already, which overlaps {}: open "
          "another session",
          entry->pattern(), subscribe.pattern());
    }
  }
  return "";
}

GroupRequest LogSubscriptions::GroupOf(const pb::Subscribe& subscribe) const {
  if (subscribe.group().empty()) return {};
  return ReadGroupRequest(subscribe, reading_.options);
}

void LogSubscriptions::Unsubscribe(std::string_view pattern,
                                   std::string_view group) {
  thread_rule_.Check();
  for (const auto& entry : entries_) {
    if (entry->pattern() == pattern && entry->group() == group) entry->End();
  }
  RemoveEnded();
}

void LogSubscriptions::OnAck(const pb::Ack& ack) {
  thread_rule_.Check();
  for (const auto& entry : entries_) {
    if (entry->request_id() == ack.subscription()) {
      entry->Settle(ack.up_to_offset());
    }
  }
}

void LogSubscriptions::Stop() {
  for (const auto& entry : entries_) entry->Stop();
}

void LogSubscriptions::End() {
  for (const auto& entry : entries_) entry->End();
  RemoveEnded();
}

void LogSubscriptions::OnTurn(LogSubscription&, FeedOutcome outcome) {
  RemoveEnded();
  if (outcome == FeedOutcome::kClose) on_answers_(outcome);
}

void LogSubscriptions::RemoveEnded() {
  std::erase_if(entries_, [](const auto& entry) { return entry->ended(); });
  std::vector<std::string> patterns;
  for (const auto& entry : entries_) patterns.push_back(entry->pattern());
  const MutexLock lock(mutex_);
  patterns_.swap(patterns);
}

}  // namespace fifobus
