#ifndef FIFOBUS_CLIENTS_CLI_PUB_JSON_MESSAGE_H_
#define FIFOBUS_CLIENTS_CLI_PUB_JSON_MESSAGE_H_

#include <string_view>

#include "absl/status/statusor.h"
#include "clients/cpp/owned_message.h"

namespace fifobus::cli {

// Reads a message as `fifobus sub --json` prints it (see AppendJsonLine):
// topic, payload or payload_base64, reply_topic, content_type, expiry, headers,
// and, which sub never prints, retain. Headers keep their order; those of
// one name are a list, or have a member each.
//
// What belongs to the delivery that was printed, and not to the message, is
// passed over: sequence, time, retained, ack_id, delivery_count, offset,
// stored_time. Other members are refused, for they are likely misspelt. The
// topic may be missing.
//
// InvalidArgument: says what is wrong. Thread-safe (no state).
absl::StatusOr<OwnedMessage> ParseJsonMessage(std::string_view text);

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_PUB_JSON_MESSAGE_H_
