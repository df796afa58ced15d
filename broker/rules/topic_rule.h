#ifndef FIFOBUS_BROKER_RULES_TOPIC_RULE_H_
#define FIFOBUS_BROKER_RULES_TOPIC_RULE_H_

#include <sys/types.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "broker/rules/overflow_policy.h"

namespace fifobus {

// A set of users. Nobody, unless it says otherwise.
struct Principals {
  bool everyone = false;
  std::vector<uint32_t> uids;

  bool Contains(uint32_t uid) const {
    return everyone || std::find(uids.begin(), uids.end(), uid) != uids.end();
  }
};

// What one [[topic]] table of the configuration says about the topics of a
// pattern. The tables behind it decide what it leaves out.
struct TopicRule {
  std::string pattern;

  // Of the queues of taps and groups, and of the sessions that ask for nothing
  // else in their Hello. Not kDisconnect or kBlock.
  std::optional<Overflow> overflow;
  std::optional<size_t> queue_bytes_max;
  std::optional<size_t> queue_messages_max;

  // Keep the last messages for those who subscribe later; 0: none.
  std::optional<size_t> history;
  // Take the publisher's `retain` for what it says. If not, it is passed over.
  std::optional<bool> retain;

  std::optional<Principals> publish;
  std::optional<Principals> subscribe;

  // Permissions of the tap's FIFOs.
  std::optional<mode_t> tap_mode;
  // Make the tap when the broker starts. The pattern is a topic then.
  bool create = false;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_RULES_TOPIC_RULE_H_
