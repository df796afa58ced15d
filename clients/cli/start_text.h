#ifndef FIFOBUS_CLIENTS_CLI_START_TEXT_H_
#define FIFOBUS_CLIENTS_CLI_START_TEXT_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "proto/frame.pb.h"

namespace fifobus::cli {

// A place in a log, as people write it:
//   start             the first message that the log still has
//   42                this offset
//   -10               the last ten messages
//   -5m               what was stored in the last five minutes
//   2026-11-28        that day, hour or second on in local time; with a Z or
//   2026-11-28T10:00  an offset such as +01:00 behind it in that zone
//   new               behind the last message
// InvalidArgument: it is none of them. Thread-safe (no state).
absl::StatusOr<pb::Start> ParseStart(const std::string& text, absl::Time now);

// What the help of an option says that takes one.
inline constexpr char kStartHelp[] =
    "start, an offset (42), the last messages (-10), an age (-5m), a time "
    "(2026-11-28T10:00) or new";

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_START_TEXT_H_
