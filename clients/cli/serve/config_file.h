#ifndef FIFOBUS_CLIENTS_CLI_SERVE_CONFIG_FILE_H_
#define FIFOBUS_CLIENTS_CLI_SERVE_CONFIG_FILE_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "broker/rules/log_rule.h"
#include "broker/rules/topic_rule.h"
#include "clients/cli/command.h"

namespace fifobus::cli {

// The configuration of `serve`, a TOML file:
//
//   queue-bytes = 4194304        # any option of `serve`, without its dashes
//
//   [[topic]]                    # any number; the first that matches and says
//   pattern = "sensors/**"       # something about a matter decides it
//   overflow = "latest"          # drop-oldest, drop-newest or latest
//   queue-bytes = 65536          # of taps, groups, and sessions that ask for
//   queue-messages = 100         # nothing else
//   history = 10                 # keep the last ten
//   retain = false               # pass over the publishers' --retain
//   publish = ["alice", "@iot"]  # who may; "@" is a group, "*" is everyone,
//   subscribe = ["*"]            # [] is nobody
//   tap-mode = "0620"            # permissions of the FIFOs, in octal
//
//   [[topic]]
//   pattern = "greetings"
//   create = true                # make its tap at the start
//
//   [[log]]                      # any number; a topic belongs to the first that
//   name = "orders"              # matches it
//   pattern = "orders/**"
//   keep-bytes = "1GiB"          # limits; without one all is kept
//   keep-age = "7d"
//   keep-messages = 1000000
//   keep-until = "limits"        # or "done": until all durable readers are
//   sync = "always"              # or "100ms"
//   on-full = "wait"             # or "drop-oldest"
//
// Nothing in it is passed over: a key that is unknown, a value of a wrong kind,
// a user who does not exist are errors.
struct ConfigFile {
  struct Setting {
    std::vector<std::string> values;
    int line = 0;

    bool operator==(const Setting& other) const {
      return values == other.values;
    }
  };
  std::string path;
  // By the option's name, "queue-bytes".
  std::map<std::string, Setting> settings;
  std::vector<TopicRule> topics;
  std::vector<LogRule> logs;
};

// Reads and checks it, but for the values of the settings. The error begins
// with FILE:LINE.
absl::StatusOr<ConfigFile> ReadConfigFile(const std::string& path);

// Gives the settings to the options of `serve`, as if they stood on the command
// line. An option that does stand there wins. Checks all values.
absl::Status ApplySettings(const ConfigFile& file, Command& serve);

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_SERVE_CONFIG_FILE_H_
