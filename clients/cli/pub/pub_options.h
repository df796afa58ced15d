#ifndef FIFOBUS_CLIENTS_CLI_PUB_PUB_OPTIONS_H_
#define FIFOBUS_CLIENTS_CLI_PUB_PUB_OPTIONS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "clients/cli/bus_options.h"
#include "clients/cli/message_options.h"
#include "clients/cpp/client.h"

namespace fifobus::cli {

struct PubOptions {
  BusOptions bus;
  MessageOptions about;
  WillOptions will;
  std::string topic;  // empty: each line of JSON names its own
  std::optional<std::string> message;
  uint64_t repeat = 1;  // 0: for ever
  double rate = 0;      // messages a second; 0: as fast as it goes

  // What standard input is: lines if nothing is set.
  bool raw = false;
  bool null = false;
  bool null_by_digit = false;  // given as -0, which may have been a MESSAGE
  bool json = false;

  bool retain = false;
  std::optional<Level> confirm;
  std::string publisher;  // empty: none
  bool resume = false;
  uint32_t wait_subscribers = 0;
  absl::Duration timeout = absl::InfiniteDuration();
};

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_PUB_PUB_OPTIONS_H_
