#ifndef FIFOBUS_BROKER_RULES_TOPIC_RULES_H_
#define FIFOBUS_BROKER_RULES_TOPIC_RULES_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "broker/rules/history_rule.h"
#include "broker/rules/overflow_policy.h"
#include "broker/rules/topic_rule.h"

namespace fifobus {

// Says what is wrong with a rule.
absl::Status CheckTopicRule(const TopicRule& rule);

// All that is settled by topic. Of the rules that match a topic, the first one
// that says something about a matter decides it.
//
// Who may publish, and who may subscribe, is open to all only as long as no
// rule says anything about it. Once one does, what no rule allows is denied,
// `_inbox/**` and `$sys/**` included.
//
// Immutable, hence Thread-safe. A look-up costs a pass over the rules: it is
// made when a route is resolved, and not for each message.
class TopicRules {
 public:
  // Nothing is settled.
  TopicRules() = default;
  // REQUIRES: all are checked. Of the history rules that match the largest
  // counts, and no less than what a topic rule says.
  TopicRules(std::vector<HistoryRule> history, std::vector<TopicRule> rules);

  // How many of the topic's last messages are kept without being asked for.
  size_t HistoryOf(std::string_view topic) const;
  // Whether those that ask for it are kept.
  bool MayRetain(std::string_view topic) const;

  // The users that may publish on it; null: all. Valid as long as this.
  const Principals* PublishersOf(std::string_view topic) const;

  // Whether the user may have every topic that the pattern matches. When the
  // user may have only some of them the answer is no.
  bool MaySubscribe(uint32_t uid, std::string_view pattern) const;

  // The policy of a queue of all topics that the pattern matches: `usual`, but
  // for what a rule says that covers the pattern.
  OverflowPolicy PolicyOf(std::string_view pattern,
                          const OverflowPolicy& usual) const;

  std::optional<mode_t> TapModeOf(std::string_view topic) const;

  // The topics of rules with `create`.
  std::vector<std::string> CreatedTopics() const;

 private:
  std::vector<HistoryRule> history_;
  std::vector<TopicRule> rules_;
  bool publish_ruled_ = false;
  bool subscribe_ruled_ = false;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_RULES_TOPIC_RULES_H_
