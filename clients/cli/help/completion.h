#ifndef FIFOBUS_CLIENTS_CLI_HELP_COMPLETION_H_
#define FIFOBUS_CLIENTS_CLI_HELP_COMPLETION_H_

#include <string>

#include "CLI/CLI.hpp"

namespace fifobus::cli {

// A script for bash that completes commands, options, their values and topics.
// Commands, options and values are those of the parser that made it. Topics are
// asked from the bus at each completion.
std::string BashCompletion(const CLI::App& app);

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_HELP_COMPLETION_H_
