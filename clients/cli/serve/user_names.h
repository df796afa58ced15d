#ifndef FIFOBUS_CLIENTS_CLI_SERVE_USER_NAMES_H_
#define FIFOBUS_CLIENTS_CLI_SERVE_USER_NAMES_H_

#include <string>

#include "absl/status/status.h"
#include "broker/rules/topic_rule.h"

namespace fifobus::cli {

// Adds to `principals` those whom a name stands for: "alice" or "1000" a user,
// "@staff" a group's members as of now, "*" everyone. Fails, and adds nobody,
// if there is no such user or group. getpwnam(3), getgrnam(3): not
// thread-safe.
absl::Status AddPrincipals(const std::string& name, Principals& principals);

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_SERVE_USER_NAMES_H_
