#ifndef FIFOBUS_CLIENTS_CLI_SERVE_SERVE_OPTIONS_H_
#define FIFOBUS_CLIENTS_CLI_SERVE_SERVE_OPTIONS_H_

#include "broker/base/log.h"
#include "broker/options.h"
#include "clients/cli/command.h"

namespace fifobus::cli {

struct ServeOptions {
  BrokerOptions broker;
  LogLevel log_level = LogLevel::kInfo;
};

// Adds what both the command line and the configuration file can settle. Both
// must live as long as the command.
void AddServeOptions(Command& serve, ServeOptions& options);

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_SERVE_SERVE_OPTIONS_H_
