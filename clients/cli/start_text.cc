#include "clients/cli/start_text.h"

#include <cstdint>
#include <optional>
#include <string_view>

#include "absl/strings/numbers.h"
#include "clients/cli/option_values.h"
#include "fmt/format.h"

namespace fifobus::cli {
namespace {

constexpr std::string_view kDigits = "0123456789";

std::optional<absl::Time> ParseTime(const std::string& text) {
  absl::Time time;
  std::string error;
  for (const char* format :
       {"%Y-%m-%dT%H:%M:%E*S%Ez", "%Y-%m-%dT%H:%M%Ez", "%Y-%m-%d%Ez"}) {
    if (absl::ParseTime(format, text, absl::UTCTimeZone(), &time, &error)) {
      return time;
    }
  }
  for (const char* format :
       {"%Y-%m-%dT%H:%M:%E*S", "%Y-%m-%dT%H:%M", "%Y-%m-%d"}) {
    if (absl::ParseTime(format, text, absl::LocalTimeZone(), &time, &error)) {
      return time;
    }
  }
  return std::nullopt;
}

bool SetTime(absl::Time time, pb::Start& start) {
  const int64_t nanos = absl::ToUnixNanos(time);
  if (nanos <= 0) return false;
  start.set_time_unix_nanos(static_cast<uint64_t>(nanos));
  return true;
}

bool Parse(const std::string& text, absl::Time now, pb::Start& start) {
  if (text == "start") {
    start.set_first(true);
    return true;
  }
  if (text == "new") {
    start.set_next(true);
    return true;
  }
  uint64_t number = 0;
  if (!text.empty() && text.find_first_not_of(kDigits) == std::string::npos) {
    if (!absl::SimpleAtoi(text, &number) || number == 0) return false;
    start.set_offset(number);
    return true;
  }
  if (!text.starts_with('-')) {
    const std::optional<absl::Time> time = ParseTime(text);
    return time && SetTime(*time, start);
  }
  const std::string back = text.substr(1);
  if (!back.empty() && back.find_first_not_of(kDigits) == std::string::npos) {
    if (!absl::SimpleAtoi(back, &number) || number == 0) return false;
    start.set_last(number);
    return true;
  }
  const auto age = ParseAge(back);
  return age.ok() && SetTime(now - *age, start);
}

}  // namespace

absl::StatusOr<pb::Start> ParseStart(const std::string& text, absl::Time now) {
  pb::Start start;
  if (Parse(text, now, start)) return start;
  return absl::InvalidArgumentError(fmt::format(
      "\"{}\" is no place in a log; it may be {}", text, kStartHelp));
}

}  // namespace fifobus::cli
