#ifndef FIFOBUS_CLIENTS_CLI_SERVE_LOG_CONFIG_H_
#define FIFOBUS_CLIENTS_CLI_SERVE_LOG_CONFIG_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "broker/rules/log_rule.h"
#include "toml++/toml.h"

// Logs as the configuration and the command line name them. Thread-safe (no
// state).
namespace fifobus::cli {

// One [[log]] of the file at `path`. The error begins with FILE:LINE.
absl::StatusOr<LogRule> ReadLogTable(const std::string& path,
                                     const toml::table& table);

// "orders=orders/**", as --log has it.
absl::StatusOr<LogRule> ParseLogOption(const std::string& text);

// A sentence for each log that stores nothing, because the logs before it store
// all its topics.
std::vector<std::string> ShadowedLogs(const std::vector<LogRule>& rules);

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_SERVE_LOG_CONFIG_H_
