#include "broker/rules/topic_rules.h"

#include <algorithm>
#include <utility>

#include "fmt/format.h"
#include "proto/topic.h"

namespace fifobus {
namespace {

const Principals kNobody;

// The value of the first rule that has one and whose pattern passes `applies`;
// nothing if there is no such rule.
template <typename Value, typename Applies>
std::optional<Value> FirstThatSays(const std::vector<TopicRule>& rules,
                                   std::optional<Value> TopicRule::*matter,
                                   const Applies& applies) {
  for (const TopicRule& rule : rules) {
    if (rule.*matter && applies(rule.pattern)) return rule.*matter;
  }
  return std::nullopt;
}

auto MatchesTopic(std::string_view topic) {
  return
      [topic](const std::string& pattern) { return Matches(pattern, topic); };
}

}  // namespace

absl::Status CheckTopicRule(const TopicRule& rule) {
  const TopicFault fault = CheckPattern(rule.pattern);
  std::string text;
  if (fault != TopicFault::kNone) {
    text = fmt::format("the pattern {}", PatternFaultText(fault));
  } else if (rule.create && CheckTopic(rule.pattern) != TopicFault::kNone) {
    text = "only a topic without * can be created";
  } else if (rule.create && IsReserved(rule.pattern)) {
    text = "topics under $ are the broker's own";
  } else if (rule.history && IsReserved(rule.pattern)) {
    text = "topics under $ are not kept";
  } else if (rule.history && *rule.history > kHistoryCountMax) {
    text = fmt::format("history must be from 0 to {}", kHistoryCountMax);
  } else if (rule.overflow && (*rule.overflow == Overflow::kDisconnect ||
                               *rule.overflow == Overflow::kBlock)) {
    text = "only a subscriber can choose to be disconnected or to block";
  } else if (rule.queue_bytes_max == size_t{0}) {
    text = "queue-bytes must be at least 1";
  } else if (rule.tap_mode && (*rule.tap_mode & ~mode_t{0777}) != 0) {
    text = "tap-mode must be from 0000 to 0777";
  }
  if (text.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      fmt::format("topic \"{}\": {}", rule.pattern, text));
}

TopicRules::TopicRules(std::vector<HistoryRule> history,
                       std::vector<TopicRule> rules)
    : history_(std::move(history)), rules_(std::move(rules)) {
  for (const TopicRule& rule : rules_) {
    publish_ruled_ |= rule.publish.has_value();
    subscribe_ruled_ |= rule.subscribe.has_value();
  }
}

size_t TopicRules::HistoryOf(std::string_view topic) const {
  size_t count = FirstThatSays(rules_, &TopicRule::history, MatchesTopic(topic))
                     .value_or(0);
  for (const HistoryRule& rule : history_) {
    if (Matches(rule.pattern, topic)) count = std::max(count, rule.count);
  }
  return count;
}

bool TopicRules::MayRetain(std::string_view topic) const {
  return FirstThatSays(rules_, &TopicRule::retain, MatchesTopic(topic))
      .value_or(true);
}

const Principals* TopicRules::PublishersOf(std::string_view topic) const {
  if (!publish_ruled_) return nullptr;
  for (const TopicRule& rule : rules_) {
    if (rule.publish && Matches(rule.pattern, topic)) return &*rule.publish;
  }
  return &kNobody;
}

// A rule that only overlaps the pattern decides for some of its topics, so it
// can deny the whole but not allow it.
bool TopicRules::MaySubscribe(uint32_t uid, std::string_view pattern) const {
  if (!subscribe_ruled_) return true;
  for (const TopicRule& rule : rules_) {
    if (!rule.subscribe || !Overlaps(rule.pattern, pattern)) continue;
    const bool allowed = rule.subscribe->Contains(uid);
    if (!allowed || Covers(rule.pattern, pattern)) return allowed;
  }
  return false;
}

OverflowPolicy TopicRules::PolicyOf(std::string_view pattern,
                                    const OverflowPolicy& usual) const {
  const auto covers = [pattern](const std::string& wide) {
    return Covers(wide, pattern);
  };
  OverflowPolicy policy = usual;
  policy.overflow = FirstThatSays(rules_, &TopicRule::overflow, covers)
                        .value_or(usual.overflow);
  policy.limits.bytes_max =
      FirstThatSays(rules_, &TopicRule::queue_bytes_max, covers)
          .value_or(usual.limits.bytes_max);
  policy.limits.messages_max =
      FirstThatSays(rules_, &TopicRule::queue_messages_max, covers)
          .value_or(usual.limits.messages_max);
  return policy;
}

std::optional<mode_t> TopicRules::TapModeOf(std::string_view topic) const {
  return FirstThatSays(rules_, &TopicRule::tap_mode, MatchesTopic(topic));
}

std::vector<std::string> TopicRules::CreatedTopics() const {
  std::vector<std::string> topics;
  for (const TopicRule& rule : rules_) {
    if (rule.create) topics.push_back(rule.pattern);
  }
  return topics;
}

}  // namespace fifobus
