#ifndef FIFOBUS_CLIENTS_CLI_BRIDGE_MESSAGE_HEADERS_H_
#define FIFOBUS_CLIENTS_CLI_BRIDGE_MESSAGE_HEADERS_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "clients/cli/bridge/nats_message.h"
#include "clients/cpp/owned_message.h"
#include "proto/frame.h"

// What a message says about itself beside its payload, in headers of NATS and
// back:
//
//   content type      Content-Type
//   reply topic       Fifobus-Reply
//   expiry            Fifobus-Expiry, nanoseconds since 1970
//   publish time      Fifobus-Published, the same
//   sequence          Fifobus-Sequence, the publisher's
//   offset, stored    Fifobus-Offset, Fifobus-Stored: of a log
//   where it is from  Fifobus-Origin: the `origin` of the bridge that sent it
//
// Headers of the message keep their names and values. One that NATS could not
// carry as it is, or whose name is one of its own or of these, is
// Fifobus-H-NAME with name and value percent-encoded.
//
// A message that came over a bridge has the header `fifobus-origin` on the bus.
// No bridge sends such a message out again: loops are impossible.
namespace fifobus::bridge {

inline constexpr std::string_view kOriginHeader = "fifobus-origin";
inline constexpr std::string_view kNatsOriginHeader = "Fifobus-Origin";
// The origin of what a program of NATS has published itself.
inline constexpr std::string_view kOriginNats = "nats";

// Whether the message came over a bridge.
bool CameOverBridge(const MessageView& message);

// The headers of the message for NATS.
std::vector<NatsMessage::Header> HeadersForNats(const MessageView& message,
                                                const DeliveryView& delivery,
                                                std::string_view origin);

// Whether the message was sent by the bridge of this origin.
bool IsFrom(const NatsMessage& message, std::string_view origin);

// The message for the bus: all but its topic and sequence.
OwnedMessage MessageForBus(const NatsMessage& message);

}  // namespace fifobus::bridge

#endif  // FIFOBUS_CLIENTS_CLI_BRIDGE_MESSAGE_HEADERS_H_
