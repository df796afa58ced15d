#ifndef FIFOBUS_BROKER_CORE_GROUPS_DEAD_LETTER_H_
#define FIFOBUS_BROKER_CORE_GROUPS_DEAD_LETTER_H_

#include <functional>
#include <string>
#include <string_view>

#include "broker/core/groups/ack_ledger.h"
#include "broker/core/routing/router.h"

namespace fifobus {

// A message that an acknowledging group has given up.
struct DeadLetter {
  std::string group;
  KeptMessage message;
  // Called when it is published, or never will be; may be empty.
  std::function<void()> on_dealt_with = {};
};

// Where a group's dead letters are published: "$dead/GROUP".
std::string DeadLetterTopic(std::string_view group);

enum class DeadLetterOutcome {
  kPublished,
  kTooLarge,  // with its new headers it would exceed frame_bytes_max
};

// Publishes the message on the group's dead-letter topic, with its payload and
// metadata, and with headers that name its topic and the number of its
// deliveries. It is not retained, not confirmed and never expires.
// REQUIRES: as Router::PublishOwn.
[[nodiscard]] DeadLetterOutcome PublishDeadLetter(const DeadLetter& letter,
                                                  size_t frame_bytes_max,
                                                  Router& router);

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_GROUPS_DEAD_LETTER_H_
