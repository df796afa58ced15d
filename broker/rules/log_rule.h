#ifndef FIFOBUS_BROKER_RULES_LOG_RULE_H_
#define FIFOBUS_BROKER_RULES_LOG_RULE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace fifobus {

// One log: its name, the topics that it stores, and what it keeps.
struct LogRule {
  // What takes the oldest segments away.
  enum class KeepUntil {
    kLimits,  // the limits below alone
    kDone,    // all durable readers have finished with them, or the limits
  };
  // What happens when the disk is full.
  enum class OnFull {
    kWait,        // publishers wait until there is room
    kDropOldest,  // the oldest segment goes
  };

  std::string name;
  std::string pattern;

  // The bytes and the age that the log may reach, and the messages that it
  // keeps at least; 0: no limit. Whole segments go.
  uint64_t keep_bytes = 0;
  uint64_t keep_messages = 0;
  absl::Duration keep_age = absl::ZeroDuration();
  KeepUntil keep_until = KeepUntil::kLimits;

  // 0: every commit is synced before it is confirmed as stored. Otherwise what
  // is written is synced so often.
  absl::Duration sync_interval = absl::ZeroDuration();

  OnFull on_full = OnFull::kWait;
};

// Says what is wrong with a rule: its name, which is a folder, or its pattern.
absl::Status CheckLogRule(const LogRule& rule);
// The same for all of them. Their names differ; their patterns may overlap.
absl::Status CheckLogRules(const std::vector<LogRule>& rules);

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_RULES_LOG_RULE_H_
