#ifndef FIFOBUS_BROKER_CORE_SESSIONS_PRESENCE_H_
#define FIFOBUS_BROKER_CORE_SESSIONS_PRESENCE_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "broker/core/routing/router.h"

namespace fifobus {

// The client at the other end of a session.
struct ClientIdentity {
  uint64_t number = 0;
  std::string name;  // printable ASCII
  uint32_t pid = 0;  // as the client says
  uint32_t uid = 0;  // the owner of its FIFOs
};

// Publishes on $sys/clients/NUMBER/connected or /disconnected, as PROTOCOL.md
// says, if the topic has a subscriber. On the router's thread.
void PublishConnected(const ClientIdentity& client, Router& router);
// `reason`: one clause for people.
void PublishDisconnected(const ClientIdentity& client, std::string_view reason,
                         Router& router);

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_SESSIONS_PRESENCE_H_
