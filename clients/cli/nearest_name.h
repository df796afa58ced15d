#ifndef FIFOBUS_CLIENTS_CLI_NEAREST_NAME_H_
#define FIFOBUS_CLIENTS_CLI_NEAREST_NAME_H_

#include <string>
#include <string_view>
#include <vector>

namespace fifobus::cli {

// The name that a word was probably meant to be: "pub" for "publish", "serve"
// for "sreve". Empty: none is near. Thread-safe (no state).
std::string NearestName(std::string_view word,
                        const std::vector<std::string_view>& names);

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_NEAREST_NAME_H_
