#ifndef FIFOBUS_CLIENTS_CLI_OPTION_VALUES_H_
#define FIFOBUS_CLIENTS_CLI_OPTION_VALUES_H_

#include <cstdint>
#include <limits>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

// What the values of options may be. Thread-safe (no state).
namespace fifobus::cli {

// What a number may be, both ends included.
struct CountRange {
  uint64_t least = 0;
  uint64_t most = std::numeric_limits<uint64_t>::max();
};
inline constexpr CountRange kAnyCount = {};
inline constexpr CountRange kPositive = {1, kAnyCount.most};

// As the help shows it, "UINT in [1 - 1024]". Empty: any number is right.
std::string RangeText(const CountRange& range);

// What is wrong with a text that should be such a number. Empty: nothing.
std::string CountFault(const std::string& text, const CountRange& range);
// With one that should say how often a second.
std::string RateFault(const std::string& text);

// "1.5s", "200ms", "2m", or seconds. A shorter one than `least` is refused.
absl::StatusOr<absl::Duration> ParseWait(const std::string& text,
                                         absl::Duration least);

// "90s", "1h30m", or whole days: "7d". At least 1 ms, at most 100 years.
absl::StatusOr<absl::Duration> ParseAge(const std::string& text);

// "1GiB", "512KiB", "10MB", "4096". At least 1, at most 1 EiB.
absl::StatusOr<uint64_t> ParseBytes(const std::string& text);

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_OPTION_VALUES_H_
