#ifndef FIFOBUS_CLIENTS_CLI_HELP_MANUAL_H_
#define FIFOBUS_CLIENTS_CLI_HELP_MANUAL_H_

#include <string>
#include <vector>

#include "clients/cli/command.h"

// The manual, from the one source that --help has as well: the commands, their
// options and their explanations.
namespace fifobus::cli {

// "fifobus-bench-pub"
std::string PageName(const Command& command);

// The commands that are shown, `top` first, then what is below it.
std::vector<const Command*> ShownCommands(const Command& top);

// The page of section 1, for man(1).
std::string ManualPage(const Command& command);

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_HELP_MANUAL_H_
