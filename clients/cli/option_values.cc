#include "clients/cli/option_values.h"

#include <algorithm>
#include <string_view>

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

absl::StatusOr<absl::Duration> ParseAge(const std::string& text) {
  constexpr absl::Duration kDay = absl::Hours(24);
  constexpr uint64_t kDaysMost = 36500;
  absl::Duration age;
  uint64_t days = 0;
  if (text.ends_with('d') &&
      absl::SimpleAtoi(text.substr(0, text.size() - 1), &days) &&
      days <= kDaysMost) {
    age = static_cast<int64_t>(days) * kDay;
  } else if (!absl::ParseDuration(text, &age)) {
    age = absl::ZeroDuration();
  }
  if (age < absl::Milliseconds(1) || age > kDaysMost * kDay) {
    return absl::InvalidArgumentError(
        fmt::format("\"{}\" is not a duration; examples: 90s 12h 7d", text));
  }
  return age;
}

absl::StatusOr<uint64_t> ParseBytes(const std::string& text) {
  constexpr uint64_t kBytesMost = uint64_t{1} << 60;
  static constexpr struct {
    std::string_view unit;
    uint64_t bytes;
  } kUnits[] = {
      {"", 1},
      {"kB", 1'000},
      {"MB", 1'000'000},
      {"GB", 1'000'000'000},
      {"TB", 1'000'000'000'000},
      {"KiB", uint64_t{1} << 10},
      {"MiB", uint64_t{1} << 20},
      {"GiB", uint64_t{1} << 30},
      {"TiB", uint64_t{1} << 40},
  };
  const size_t digits =
      std::min(text.find_first_not_of("0123456789"), text.size());
  uint64_t number = 0;
  for (const auto& unit : kUnits) {
    if (std::string_view(text).substr(digits) != unit.unit) continue;
    if (!absl::SimpleAtoi(text.substr(0, digits), &number)) break;
    if (number == 0 || number > kBytesMost / unit.bytes) break;
    return number * unit.bytes;
  }
  return absl::InvalidArgumentError(fmt::format(
      "\"{}\" is not a number of bytes; examples: 4096 512KiB 1GiB", text));
}

}  // namespace fifobus::cli
