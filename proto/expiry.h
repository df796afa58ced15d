#ifndef FIFOBUS_PROTO_EXPIRY_H_
#define FIFOBUS_PROTO_EXPIRY_H_

#include <cstdint>

#include "absl/time/clock.h"

// When messages expire: at a time of the wall clock in nanoseconds since 1970,
// since publisher, broker and subscriber share no other. 0 is never.
// Thread-safe (no state).
namespace fifobus {

inline uint64_t UnixNanosNow() {
  return static_cast<uint64_t>(absl::GetCurrentTimeNanos());
}

inline bool IsExpired(uint64_t expiry_unix_nanos, uint64_t now_unix_nanos) {
  return expiry_unix_nanos != 0 && expiry_unix_nanos <= now_unix_nanos;
}

// Asks the clock only for what can expire.
inline bool IsExpired(uint64_t expiry_unix_nanos) {
  return expiry_unix_nanos != 0 && IsExpired(expiry_unix_nanos, UnixNanosNow());
}

inline uint64_t EarlierExpiry(uint64_t a, uint64_t b) {
  return a == 0 || (b != 0 && b < a) ? b : a;
}

}  // namespace fifobus

#endif  // FIFOBUS_PROTO_EXPIRY_H_
