#ifndef FIFOBUS_CLIENTS_CPP_START_H_
#define FIFOBUS_CLIENTS_CPP_START_H_

#include <algorithm>
#include <cstdint>

#include "absl/time/time.h"

namespace fifobus {

// Where in a log a reader begins. Offsets count the messages of a log from 1.
//
//   options.start = fifobus::Start::Last(10);
//
// Thread-compatible, and a value.
class Start {
 public:
  // The first message that the log still has.
  static Start First() { return Start(Kind::kFirst, 0); }
  // This offset. If it is trimmed, a Gap comes first; if it is beyond the end,
  // Subscribe fails.
  static Start Offset(uint64_t offset) { return Start(Kind::kOffset, offset); }
  // So many of the pattern's messages before the end.
  static Start Last(uint64_t messages) { return Start(Kind::kLast, messages); }
  // The first message that was stored then or later.
  static Start Time(absl::Time time) {
    return Start(Kind::kTime, static_cast<uint64_t>(std::max<int64_t>(
                                  0, absl::ToUnixNanos(time))));
  }
  // What is stored from now on.
  static Start Next() { return Start(Kind::kNext, 0); }

  enum class Kind { kFirst, kOffset, kLast, kTime, kNext };
  Kind kind() const { return kind_; }
  // An offset, messages, or nanoseconds since the Unix epoch.
  uint64_t number() const { return number_; }

  friend bool operator==(const Start&, const Start&) = default;

 private:
  Start(Kind kind, uint64_t number) : kind_(kind), number_(number) {}

  Kind kind_;
  uint64_t number_;
};

}  // namespace fifobus

#endif  // FIFOBUS_CLIENTS_CPP_START_H_
