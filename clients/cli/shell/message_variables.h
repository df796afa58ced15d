#ifndef FIFOBUS_CLIENTS_CLI_SHELL_MESSAGE_VARIABLES_H_
#define FIFOBUS_CLIENTS_CLI_SHELL_MESSAGE_VARIABLES_H_

#include <string>
#include <vector>

#include "proto/frame.h"

namespace fifobus::cli {

// A message's metadata as a command's environment, "NAME=VALUE" each:
// FIFOBUS_TOPIC, FIFOBUS_SEQUENCE, FIFOBUS_PUBLISH_TIME_UNIX_NANOS,
// FIFOBUS_REPLY_TOPIC, FIFOBUS_CONTENT_TYPE, FIFOBUS_RETAINED (1 or 0),
// FIFOBUS_DELIVERY_COUNT, empty or 0 if the message has none; of a message out
// of a log FIFOBUS_OFFSET and FIFOBUS_STORED_TIME_UNIX_NANOS; and for each
// header, such as trace-id, FIFOBUS_HEADER_TRACE_ID. A value ends where it has
// a NUL. Thread-safe (no state).
std::vector<std::string> MessageVariables(const MessageView& message,
                                          const DeliveryView& delivery);

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_SHELL_MESSAGE_VARIABLES_H_
