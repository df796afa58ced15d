#ifndef FIFOBUS_BROKER_RULES_HISTORY_RULE_H_
#define FIFOBUS_BROKER_RULES_HISTORY_RULE_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace fifobus {

// Of each topic that the pattern matches, the last `count` messages are kept
// for those who subscribe later.
struct HistoryRule {
  std::string pattern;
  size_t count = 0;
};

// All of it is in memory: more belongs into a log. Not tuned.
inline constexpr size_t kHistoryCountMax = 10000;

// Says what is wrong with a rule: its pattern, or a count outside of 1 to
// kHistoryCountMax.
absl::Status CheckHistoryRule(const HistoryRule& rule);

// Reads "PATTERN=COUNT" and checks it.
absl::StatusOr<HistoryRule> ParseHistoryRule(std::string_view text);

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_RULES_HISTORY_RULE_H_
