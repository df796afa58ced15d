#ifndef FIFOBUS_CLIENTS_CLI_SUB_SUB_OPTIONS_H_
#define FIFOBUS_CLIENTS_CLI_SUB_SUB_OPTIONS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "clients/cli/bus_options.h"
#include "clients/cli/message_options.h"
#include "clients/cli/sub/message_format.h"
#include "clients/cpp/client.h"

namespace fifobus::cli {

struct SubOptions {
  BusOptions bus;
  ModeOptions mode;
  WillOptions will;
  ClientOptions client;  // overflow and the bounds of its queue
  SubscribeOptions subscribe;
  SubscribeOptions::Acks acks;
  bool ack = false;
  bool until_now = false;
  std::vector<std::string> patterns;
  uint64_t count = 0;  // 0: no end
  absl::Duration timeout = absl::InfiniteDuration();
  bool fail_on_gap = false;

  // How a message looks.
  bool json = false;
  std::optional<MessageFormat> format;
  bool show_topic = false;
  bool show_retained = false;
  bool raw = false;
  bool null = false;

  // Where it goes, if not to standard output.
  std::string exec;
  std::string exec_stream;
  bool fail_on_error = false;
};

// Appends a message as the options say.
void AppendMessage(const Received& got, const SubOptions& options,
                   std::string& out);

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_SUB_SUB_OPTIONS_H_
