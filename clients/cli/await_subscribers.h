#ifndef FIFOBUS_CLIENTS_CLI_AWAIT_SUBSCRIBERS_H_
#define FIFOBUS_CLIENTS_CLI_AWAIT_SUBSCRIBERS_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "clients/cpp/client.h"
#include "clients/cpp/deadline.h"

namespace fifobus::cli {

// Waits until at least `wanted` sessions, groups and taps would get a message
// on the topic, whatever becomes of the broker meanwhile. DeadlineExceeded:
// says how many there are.
absl::Status AwaitSubscribers(Client& client, const std::string& topic,
                              uint32_t wanted, Deadline deadline);

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_AWAIT_SUBSCRIBERS_H_
