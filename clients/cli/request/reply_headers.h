#ifndef FIFOBUS_CLIENTS_CLI_REQUEST_REPLY_HEADERS_H_
#define FIFOBUS_CLIENTS_CLI_REQUEST_REPLY_HEADERS_H_

#include <string_view>

// What `fifobus reply` tells `fifobus req` beside the reply itself.
namespace fifobus::cli {

// The command's exit code, if it is not 0; 128 + N if signal N ended it.
inline constexpr std::string_view kExitCodeHeader = "fifobus-exit-code";

// Why there is no reply although the command was to be run, for people.
inline constexpr std::string_view kErrorHeader = "fifobus-error";

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_REQUEST_REPLY_HEADERS_H_
