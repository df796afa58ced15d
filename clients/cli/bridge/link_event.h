#ifndef FIFOBUS_CLIENTS_CLI_BRIDGE_LINK_EVENT_H_
#define FIFOBUS_CLIENTS_CLI_BRIDGE_LINK_EVENT_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "clients/cli/bridge/nats_message.h"

namespace fifobus::bridge {

// What becomes of a message that is given to the link.
enum class SendOutcome {
  kQueued,
  kFull,          // too much is queued; not taken
  kNotConnected,  // not taken
};

// What has happened on the link.
struct LinkEvent {
  enum class Kind {
    kConnected,     // `text` is the server, `payload_bytes_max` its limit
    kDisconnected,  // `text` says why
    kFailed,        // a connection could not be made: `text`
    kError,         // the server refuses something: `text`
    kMessage,       // of the subscription `subject`
    kLost,          // `lost` messages came and found no room
  };
  Kind kind = Kind::kMessage;
  size_t subject = 0;
  NatsMessage message;
  std::string text;
  size_t payload_bytes_max = 0;
  uint64_t lost = 0;
};

}  // namespace fifobus::bridge

#endif  // FIFOBUS_CLIENTS_CLI_BRIDGE_LINK_EVENT_H_
