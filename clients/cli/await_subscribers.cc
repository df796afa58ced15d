#include "clients/cli/await_subscribers.h"

#include <algorithm>

#include "absl/time/time.h"
#include "clients/cli/attend.h"
#include "fmt/format.h"

namespace fifobus::cli {
namespace {

// How often the broker is asked. Not tuned.
constexpr absl::Duration kAskInterval = absl::Milliseconds(20);

}  // namespace

absl::Status AwaitSubscribers(Client& client, const std::string& topic,
                              uint32_t wanted, Deadline deadline) {
  uint32_t known = 0;
  while (true) {
    const auto subscribers = client.CountSubscribers(topic, deadline.Rest());
    // While there is no broker there is no answer; a next one may come.
    if (!subscribers.ok() && !absl::IsUnavailable(subscribers.status()) &&
        !absl::IsDeadlineExceeded(subscribers.status())) {
      return subscribers.status();
    }
    known = subscribers.value_or(known);
    if (subscribers.ok() && known >= wanted) return absl::OkStatus();
    if (deadline.HasCome()) {
      return absl::DeadlineExceededError(fmt::format(
          "\"{}\" has {} subscribers and not {}", topic, known, wanted));
    }
    const absl::Status status =
        AttendUntil(client, std::min(deadline, Deadline(kAskInterval)));
    if (!status.ok()) return status;
  }
}

}  // namespace fifobus::cli
