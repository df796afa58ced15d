#include "clients/cli/option_values.h"

#include "absl/strings/numbers.h"
#include "fmt/format.h"

namespace fifobus::cli {

std::string RangeText(const CountRange& range) {
  const bool bounded = range.most != kAnyCount.most;
  if (range.least == 1 && !bounded) return "POSITIVE";
  if (range.least == 0 && !bounded) return "";
  return fmt::format("UINT in [{} - {}]", range.least, range.most);
}

std::string CountFault(const std::string& text, const CountRange& range) {
  uint64_t number = 0;
  if (absl::SimpleAtoi(text, &number) && number >= range.least &&
      number <= range.most) {
    return "";
  }
  return range.most == kAnyCount.most
             ? fmt::format("\"{}\" is not a whole number of at least {}", text,
                           range.least)
             : fmt::format("\"{}\" is not a whole number from {} to {}", text,
                           range.least, range.most);
}

std::string RateFault(const std::string& text) {
  double rate = 0;
  return absl::SimpleAtod(text, &rate) && rate >= 1e-6 && rate <= 1e9
             ? ""
             : fmt::format("\"{}\" is not a number from 0.000001 to 1e9", text);
}

absl::StatusOr<absl::Duration> ParseWait(const std::string& text,
                                         absl::Duration least) {
  absl::Duration duration;
  // A bare number counts seconds.
  if ((!absl::ParseDuration(text, &duration) &&
       !absl::ParseDuration(text + "s", &duration)) ||
      duration < absl::ZeroDuration()) {
    return absl::InvalidArgumentError(
        fmt::format("\"{}\" is not a duration; examples: 500ms 2s 1.5m", text));
  }
  if (duration < least) {
    return absl::InvalidArgumentError(
        fmt::format("\"{}\" is too short; it is at least {}", text,
                    absl::FormatDuration(least)));
  }
  return duration;
}

}  // namespace fifobus::cli
