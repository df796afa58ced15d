#ifndef FIFOBUS_CLIENTS_CLI_SERVE_KEEP_H_
#define FIFOBUS_CLIENTS_CLI_SERVE_KEEP_H_

#include <string>

#include "absl/time/time.h"
#include "broker/base/log.h"
#include "broker/keeper/kept_broker.h"
#include "clients/cli/command.h"
#include "clients/cli/exit.h"

// `serve --keep`: this process becomes a keeper, and the broker a child that
// runs the same command line again.
namespace fifobus::cli {

struct KeepOptions {
  bool keep = false;
  absl::Duration restart_delay = absl::Seconds(5);  // at most
};

// They must live as long as the command.
void AddKeepOptions(Command& serve, KeepOptions& options);

// The keeper that runs this process, or none. The first call is to come before
// any thread is started.
KeeperOfThis& KeeperOfThisProcess();

// Whether this process is to become a keeper.
bool BecomesKeeper(const KeepOptions& options);

// Keeps brokers on the bus directory `dir` until one ends in order, or cannot
// start. `reloads`: they have a configuration to read again.
Exit Keep(const KeepOptions& options, const std::string& dir,
          LogLevel log_level, bool reloads);

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_SERVE_KEEP_H_
