#ifndef FIFOBUS_CLIENTS_CLI_HELP_COMPLETION_BASH_H_
#define FIFOBUS_CLIENTS_CLI_HELP_COMPLETION_BASH_H_

#include <string_view>

namespace fifobus::cli {

// What every completion begins with: completion.bash, which the build makes a
// string.
extern const std::string_view kCompletionBash;

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_HELP_COMPLETION_BASH_H_
