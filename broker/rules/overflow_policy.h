#ifndef FIFOBUS_BROKER_RULES_OVERFLOW_POLICY_H_
#define FIFOBUS_BROKER_RULES_OVERFLOW_POLICY_H_

#include <cstddef>
#include <cstdint>

#include "proto/overflow.h"

namespace fifobus {

// What a queue may hold.
struct QueueLimits {
  size_t bytes_max = SIZE_MAX;
  size_t messages_max = 0;  // 0: not bounded
};

// A subscriber's choice, within what the broker's options allow.
struct OverflowPolicy {
  Overflow overflow = Overflow::kDropOldest;
  QueueLimits limits;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_RULES_OVERFLOW_POLICY_H_
