#ifndef FIFOBUS_CLIENTS_CLI_BRIDGE_NATS_MESSAGE_H_
#define FIFOBUS_CLIENTS_CLI_BRIDGE_NATS_MESSAGE_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fifobus::bridge {

// A message as NATS has it. Owns its bytes. Thread-compatible.
struct NatsMessage {
  struct Header {
    std::string name;
    std::string value;

    friend bool operator==(const Header&, const Header&) = default;
  };

  // The first value of a header; nothing: it has none.
  std::optional<std::string_view> header(std::string_view name) const {
    for (const Header& each : headers) {
      if (each.name == name) return each.value;
    }
    return std::nullopt;
  }

  // What it is counted as, for bounds.
  size_t bytes() const {
    size_t sum = subject.size() + reply.size() + payload.size();
    for (const Header& each : headers) {
      sum += each.name.size() + each.value.size();
    }
    return sum;
  }

  // What the server's max_payload is about: headers as they are sent, and the
  // payload.
  size_t wire_bytes() const {
    size_t sum = payload.size() + std::string_view("NATS/1.0\r\n\r\n").size();
    for (const Header& each : headers) {
      sum += each.name.size() + each.value.size() + 4;  // ": " and "\r\n"
    }
    return sum;
  }

  std::string subject;
  std::string reply;  // a subject; empty: none
  std::vector<Header> headers;
  std::string payload;
};

}  // namespace fifobus::bridge

#endif  // FIFOBUS_CLIENTS_CLI_BRIDGE_NATS_MESSAGE_H_
