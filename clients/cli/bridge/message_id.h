#ifndef FIFOBUS_CLIENTS_CLI_BRIDGE_MESSAGE_ID_H_
#define FIFOBUS_CLIENTS_CLI_BRIDGE_MESSAGE_ID_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace fifobus::bridge {

// The Nats-Msg-Id of a message that a bridge has put into a stream: where it was
// read, "edge1/nats-ORDERS/42/1795862713123456789". Of two logs that had the
// same name one after the other, the time tells messages of one offset apart.
// Thread-compatible, and a value.
struct MessageId {
  std::string ToString() const;
  // Nothing: another program has made it.
  static std::optional<MessageId> Parse(std::string_view text);

  friend bool operator==(const MessageId&, const MessageId&) = default;

  std::string origin;   // the bridge's
  std::string durable;  // the reader
  uint64_t offset = 0;
  uint64_t stored_unix_nanos = 0;
};

}  // namespace fifobus::bridge

#endif  // FIFOBUS_CLIENTS_CLI_BRIDGE_MESSAGE_ID_H_
