#ifndef FIFOBUS_BROKER_OVERFLOW_H_
#define FIFOBUS_BROKER_OVERFLOW_H_

#include <cstddef>
#include <cstdint>

namespace fifobus {

// What becomes of a subscriber's messages once it is stalled.
enum class Overflow {
  kDropOldest,
  kDropNewest,
  kLatest,      // of each topic the newest stays
  kDisconnect,  // the subscriber is told so, and ended
  kBlock,       // never stalled: publishers wait
};

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

#endif  // FIFOBUS_BROKER_OVERFLOW_H_
