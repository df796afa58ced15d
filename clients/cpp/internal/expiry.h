#ifndef FIFOBUS_CLIENTS_CPP_INTERNAL_EXPIRY_H_
#define FIFOBUS_CLIENTS_CPP_INTERNAL_EXPIRY_H_

#include <cstdint>

#include "absl/time/clock.h"
#include "proto/frame.h"

namespace fifobus {

// Whether nobody wants the message any more, by the wall clock, which is what
// publishers stamp by. Looks at the clock only for messages that can expire.
// Thread-safe (no state).
inline bool HasExpired(const MessageView& message) {
  return message.expiry_unix_nanos != 0 &&
         message.expiry_unix_nanos <=
             static_cast<uint64_t>(absl::GetCurrentTimeNanos());
}

}  // namespace fifobus

#endif  // FIFOBUS_CLIENTS_CPP_INTERNAL_EXPIRY_H_
