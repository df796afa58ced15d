#ifndef FIFOBUS_CLIENTS_CLI_SERVE_CONFIG_VALUE_H_
#define FIFOBUS_CLIENTS_CLI_SERVE_CONFIG_VALUE_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "fmt/format.h"
#include "toml++/toml.h"

// What the readers of a configuration file's parts share. Thread-safe (no
// state).
namespace fifobus::cli {

inline int LineOf(const toml::node& node) {
  return static_cast<int>(node.source().begin.line);
}

inline absl::Status FaultAt(const std::string& path, int line,
                            std::string_view text) {
  return absl::InvalidArgumentError(fmt::format("{}:{}: {}", path, line, text));
}

// A key has a value of a wrong kind.
inline absl::Status Wanted(std::string_view key, std::string_view what) {
  return absl::InvalidArgumentError(fmt::format("{} must be {}", key, what));
}

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_SERVE_CONFIG_VALUE_H_
