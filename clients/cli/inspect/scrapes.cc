#include "clients/cli/inspect/scrapes.h"

#include <exception>
#include <vector>

#include "absl/time/time.h"
#include "fmt/format.h"

namespace fifobus::cli {
namespace {

// A scraper sends its request at once. One that does not is let go after this
// time, and meanwhile there are threads for others. Not tuned.
constexpr absl::Duration kRequestPatience = absl::Seconds(1);
constexpr int kThreads = 16;

}  // namespace

absl::StatusOr<std::unique_ptr<prometheus::Exposer>> ListenForScrapes(
    const std::string& address) {
  // A connection that sends no request holds a thread until the time-out.
  const std::vector<std::string> options = {
      "listening_ports",
      address,
      "num_threads",
      std::to_string(kThreads),
      "request_timeout_ms",
      std::to_string(absl::ToInt64Milliseconds(kRequestPatience))};
  try {
    return std::make_unique<prometheus::Exposer>(options);
  } catch (const std::exception& error) {
    return absl::UnavailableError(
        fmt::format("{} cannot be listened on: {}", address, error.what()));
  }
}

}  // namespace fifobus::cli
