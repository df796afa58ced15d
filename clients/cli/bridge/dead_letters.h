#ifndef FIFOBUS_CLIENTS_CLI_BRIDGE_DEAD_LETTERS_H_
#define FIFOBUS_CLIENTS_CLI_BRIDGE_DEAD_LETTERS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "clients/cpp/client.h"

namespace fifobus::bridge {

// Why the other side will never take a message.
enum class DeadReason {
  kNoSubject,          // its topic is none
  kNoTopic,            // its subject is none that can be published on
  kTooLargeForServer,  // larger than max_payload
  kTooLargeForStream,  // larger than max_msg_size
  kRefusedByBus,       // larger than the bus takes
};
// "no-subject", "too-large-for-server"...
std::string_view DeadReasonName(DeadReason reason);

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
  // the reason says so. `text` is the reason for people; empty: the usual one.
  absl::Status Put(std::string_view map, std::string_view source,
                   DeadReason reason, std::string_view text,
                   std::string_view payload);

  // What has been set aside of a map, by the reasons' names.
  std::map<std::string, uint64_t> counts(std::string_view map) const;

 private:
  const std::unique_ptr<Client> client_;
  const std::string topic_;
  const std::string origin_;
  std::map<std::pair<std::string, DeadReason>, uint64_t> counts_;
};

}  // namespace fifobus::bridge

#endif  // FIFOBUS_CLIENTS_CLI_BRIDGE_DEAD_LETTERS_H_
