#include "clients/cli/attend.h"

#include <algorithm>
#include <vector>

#include "absl/time/time.h"

namespace fifobus::cli {

void PollUntil(std::span<pollfd> polled, Deadline deadline) {
  const absl::Duration rest = std::min(deadline.Rest(), absl::Hours(1));
  (void)poll(polled.data(), polled.size(),
             static_cast<int>(absl::ToInt64Milliseconds(
                 absl::Ceil(rest, absl::Milliseconds(1)))));
}

void WaitReadable(const Client& client, Deadline deadline) {
  pollfd readable = {client.fd(), POLLIN, 0};
  PollUntil({&readable, 1}, deadline);
}

absl::Status Attend(Client& client) {
  const Mode mode = client.mode();
  client.set_mode(Mode::kNonBlocking);
  ReceiveOutcome outcome;
  do {
    outcome = client.Receive().outcome;
  } while (outcome != ReceiveOutcome::kWouldBlock &&
           outcome != ReceiveOutcome::kDisconnected);
  client.set_mode(mode);
  return outcome == ReceiveOutcome::kDisconnected ? client.status()
                                                  : absl::OkStatus();
}

absl::Status AttendUntil(Client& client, Deadline deadline,
                         std::span<pollfd> others) {
  std::vector<pollfd> polled = {{client.fd(), POLLIN, 0}};
  polled.insert(polled.end(), others.begin(), others.end());
  bool ready = false;
  do {
    PollUntil(polled, deadline);
    if (polled.front().revents != 0) {
      const absl::Status status = Attend(client);
      if (!status.ok()) return status;
    }
    std::copy(polled.begin() + 1, polled.end(), others.begin());
    ready = std::any_of(others.begin(), others.end(),
                        [](const pollfd& other) { return other.revents != 0; });
  } while (!ready && !deadline.HasCome());
  return absl::OkStatus();
}

}  // namespace fifobus::cli
