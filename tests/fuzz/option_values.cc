// Values of options: whatever is taken lies in the range that is promised, and
// a number that is taken is the one that was written.

#include "clients/cli/option_values.h"

#include <charconv>
#include <cstdint>
#include <string>

#include "absl/time/time.h"
#include "clients/cli/start_text.h"
#include "tests/fuzz/oracle.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fifobus;       // NOLINT
  using namespace fifobus::cli;  // NOLINT
  using fuzz::Require;
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto age = ParseAge(text);
  Require(!age.ok() || (*age >= absl::Milliseconds(1) &&
                        *age <= absl::Hours(24) * 366 * 100),
          "an age is between 1 ms and 100 years");
  const auto bytes = ParseBytes(text);
  Require(!bytes.ok() || (*bytes >= 1 && *bytes <= uint64_t{1} << 60),
          "bytes are between 1 and 1 EiB");
  const auto wait = ParseWait(text, absl::Milliseconds(1));
  Require(!wait.ok() || *wait >= absl::Milliseconds(1), "a wait is not short");
  uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, number);
  const bool is_number = read.ec == std::errc() && read.ptr == end;
  if (CountFault(text, {3, 1000}).empty() && is_number) {
    Require(number >= 3 && number <= 1000, "a count lies in its range");
  }
  if (bytes.ok() && is_number) Require(*bytes == number, "bytes as written");
  (void)RateFault(text);
  const auto start =
      ParseStart(text, absl::FromUnixSeconds(int64_t{1'796'000'000}));
  Require(!start.ok() || start->at_case() != pb::Start::AT_NOT_SET,
          "a start says where");
  if (start.ok() && is_number && number > 0) {
    Require(start->offset() == number, "an offset as written");
  }
  return 0;
}
