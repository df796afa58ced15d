#ifndef FIFOBUS_CLIENTS_CLI_BRIDGE_REPLY_TIMES_H_
#define FIFOBUS_CLIENTS_CLI_BRIDGE_REPLY_TIMES_H_

#include <vector>

#include "absl/time/time.h"
#include "clients/cli/bridge/nats_message.h"
#include "proto/frame.h"

// How long a request that crosses a bridge may take. Machines' clocks differ, so
// beside the expiry by the clock of the one, the time that is left goes along, in
// the header Fifobus-Expires-In, in milliseconds. Thread-safe (no state).
namespace fifobus::bridge {

// What a request that says nothing gets, and the most that one gets.
inline constexpr absl::Duration kReplyTime = absl::Seconds(5);
inline constexpr absl::Duration kReplyTimeMost = absl::Minutes(10);

// Of a request on this machine's bus.
absl::Duration TimeForReply(const MessageView& request, absl::Time now);
void AddTimeLeft(const MessageView& request, absl::Time now,
                 std::vector<NatsMessage::Header>& headers);

// Of a request that has come from NATS.
absl::Duration TimeForReply(const NatsMessage& request);

}  // namespace fifobus::bridge

#endif  // FIFOBUS_CLIENTS_CLI_BRIDGE_REPLY_TIMES_H_
