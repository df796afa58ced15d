#include "broker/rules/log_rule.h"

#include "fmt/format.h"
#include "proto/topic.h"

namespace fifobus {

absl::Status CheckLogRule(const LogRule& rule) {
  if (CheckTopic(rule.name) != TopicFault::kNone || IsReserved(rule.name) ||
      rule.name.find('/') != std::string::npos) {
    return absl::InvalidArgumentError(fmt::format(
        "log \"{}\": a log's name is one level of a topic", rule.name));
  }
  const TopicFault fault = CheckPattern(rule.pattern);
  if (fault != TopicFault::kNone) {
    return absl::InvalidArgumentError(fmt::format(
        "log \"{}\": the pattern {}", rule.name, PatternFaultText(fault)));
  }
  return absl::OkStatus();
}

absl::Status CheckLogRules(const std::vector<LogRule>& rules) {
  for (size_t i = 0; i < rules.size(); ++i) {
    absl::Status status = CheckLogRule(rules[i]);
    if (!status.ok()) return status;
    for (size_t k = 0; k < i; ++k) {
      if (rules[k].name != rules[i].name) continue;
      return absl::InvalidArgumentError(
          fmt::format("log \"{}\": the name is given twice", rules[i].name));
    }
  }
  return absl::OkStatus();
}

}  // namespace fifobus
