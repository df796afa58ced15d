#ifndef FIFOBUS_CLIENTS_CLI_BRIDGE_BRIDGE_MAP_H_
#define FIFOBUS_CLIENTS_CLI_BRIDGE_BRIDGE_MAP_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "clients/cli/bridge/bridge_config.h"
#include "clients/cli/bridge/clock_check.h"
#include "clients/cli/bridge/dead_letters.h"
#include "clients/cli/bridge/link_event.h"
#include "clients/cli/bridge/nats_message.h"
#include "clients/cpp/deadline.h"

namespace fifobus::bridge {

// Sends to NATS: the link, or a fake in tests. Thread-compatible.
class NatsSender {
 public:
  virtual ~NatsSender() = default;
  [[nodiscard]] virtual SendOutcome Send(NatsMessage message) = 0;
};

// What all maps share. Outlives them.
struct MapSurroundings {
  const BridgeConfig& config;
  NatsSender& nats;
  DeadLetters& dead_letters;
  ClockCheck& clock;
};

// What a map has done and what it does, for the log and the status topic.
struct MapCounters {
  uint64_t passed = 0;      // taken by the other side
  uint64_t set_aside = 0;   // on the dead topic
  uint64_t returned = 0;    // came over a bridge, and go no further
  uint64_t resent = 0;      // published again
  uint64_t duplicates = 0;  // the other side had them already
  uint64_t dropped = 0;     // live: there was no connection, or no room
  uint64_t missed = 0;      // the log did not keep them until they were read
  size_t in_flight = 0;     // on their way, and not acknowledged
  // What the map knows to be waiting before it; nothing: it does not know. The
  // broker knows that of a log's reader.
  std::optional<uint64_t> behind;
};

// One [[out]] or [[in]] of the configuration, at work. It never waits: what it
// waits for comes by its calls. All maps of a bridge are called by one thread.
//
// Thread-compatible.
class BridgeMap {
 public:
  virtual ~BridgeMap() = default;

  // Readable when OnBus has something to do; -1: not now.
  virtual int bus_fd() const = 0;
  virtual void OnBus() = 0;

  // There is a connection, whose server takes so many bytes in a message; or
  // there is none any more.
  virtual void OnConnected(size_t payload_bytes_max) = 0;
  virtual void OnDisconnected() = 0;
  // What the map has a subscription of its own for; empty: nothing.
  virtual std::string subject() const { return ""; }
  // A message on the map's part of the inbox, `token` is what is behind that; or of
  // its own subscription, with an empty token.
  virtual void OnNats(std::string_view token, NatsMessage message) = 0;

  // When OnTime is to be called.
  virtual Deadline next_time() const = 0;
  virtual void OnTime() = 0;

  // Not OK: it has failed for good, and the bridge ends.
  virtual absl::Status status() const = 0;
  // What keeps it from working now, for people; empty: nothing.
  virtual std::string trouble() const = 0;
  // What may lose messages, though it works, for people; empty: nothing.
  virtual std::string warning() const { return ""; }
  virtual MapCounters counters() const = 0;
  virtual const MapConfig& config() const = 0;
};

}  // namespace fifobus::bridge

#endif  // FIFOBUS_CLIENTS_CLI_BRIDGE_BRIDGE_MAP_H_
