#ifndef FIFOBUS_CLIENTS_CLI_ATTEND_H_
#define FIFOBUS_CLIENTS_CLI_ATTEND_H_

#include <poll.h>

#include <span>

#include "absl/status/status.h"
#include "clients/cpp/client.h"
#include "clients/cpp/deadline.h"

// How commands wait without leaving the broker alone: a broker that stops waits
// for the answer of each of its clients.
namespace fifobus::cli {

// poll(2) until `deadline`. May return earlier, with nothing ready.
void PollUntil(std::span<pollfd> polled, Deadline deadline);

// Waits until the client's fd() is readable or the deadline has come: what a
// program with its own event loop does in mode kNonBlocking.
void WaitReadable(const Client& client, Deadline deadline);

// Does what the session needs now, for a client that has no subscription:
// answers a broker that stops, connects to the next one. Does not wait. Fails
// if there is no session and none will be made.
absl::Status Attend(Client& client);

// Attends to the session until one of `others` is ready, as its revents say, or
// the deadline has come.
absl::Status AttendUntil(Client& client, Deadline deadline,
                         std::span<pollfd> others = {});

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_ATTEND_H_
