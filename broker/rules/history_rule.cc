#include "broker/rules/history_rule.h"

#include <charconv>

#include "fmt/format.h"
#include "proto/topic.h"

namespace fifobus {

absl::Status CheckHistoryRule(const HistoryRule& rule) {
  const TopicFault fault = CheckPattern(rule.pattern);
  if (fault != TopicFault::kNone) {
    return absl::InvalidArgumentError(
        fmt::format("history \"{}\": the pattern {}", rule.pattern,
                    PatternFaultText(fault)));
  }
  if (IsReserved(rule.pattern)) {
    return absl::InvalidArgumentError(fmt::format(
        "history \"{}\": topics under $ are not kept", rule.pattern));
  }
  if (rule.count < 1 || rule.count > kHistoryCountMax) {
    return absl::InvalidArgumentError(
        fmt::format("history \"{}\": the count must be from 1 to {}",
                    rule.pattern, kHistoryCountMax));
  }
  return absl::OkStatus();
}

absl::StatusOr<HistoryRule> ParseHistoryRule(std::string_view text) {
  const size_t sign = text.rfind('=');
  HistoryRule rule;
  if (sign != std::string_view::npos) {
    rule.pattern = text.substr(0, sign);
    const std::string_view count = text.substr(sign + 1);
    const char* const end = count.data() + count.size();
    const auto parsed = std::from_chars(count.data(), end, rule.count);
    if (parsed.ec == std::errc() && parsed.ptr == end) {
      const absl::Status status = CheckHistoryRule(rule);
      if (!status.ok()) return status;
      return rule;
    }
  }
  return absl::InvalidArgumentError(fmt::format(
      "history \"{}\" is not PATTERN=COUNT; example: sensors/**=10", text));
}

}  // namespace fifobus
