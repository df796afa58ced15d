#ifndef FIFOBUS_CLIENTS_CLI_BRIDGE_DEAD_LETTERS_H_
#define FIFOBUS_CLIENTS_CLI_BRIDGE_DEAD_LETTERS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "clients/cpp/client.h"

namespace fifobus::bridge {

// Sets messages aside that the other side will never take: publishes them on the
// dead topic, with the headers fifobus-origin, bridge-map, bridge-reason and
// bridge-source, the topic or subject that it had. Thread-compatible.
class DeadLetters {
 public:
  // `client` has the bus's bounds; it publishes nothing else.
  DeadLetters(std::unique_ptr<Client> client, std::string topic,
              std::string origin);

  // Waits until the broker has accepted it, or says why it has not: then the
  // message is not done. A payload that the bus cannot carry is left out, and
  // the reason says so.
  absl::Status Put(std::string_view map, std::string_view source,
                   std::string_view reason, std::string_view payload);

 private:
  const std::unique_ptr<Client> client_;
  const std::string topic_;
  const std::string origin_;
};

}  // namespace fifobus::bridge

#endif  // FIFOBUS_CLIENTS_CLI_BRIDGE_DEAD_LETTERS_H_
