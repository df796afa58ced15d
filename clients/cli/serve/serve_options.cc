#include "clients/cli/serve/serve_options.h"

#include <cstdint>
#include <string>
#include <utility>

#include "broker/rules/history_rule.h"
#include "broker/rules/log_rule.h"
#include "clients/cli/serve/log_config.h"
#include "clients/cli/state_directory.h"
#include "proto/overflow.h"

namespace fifobus::cli {
namespace {

// More bytes than this are taken for a mistake: 1 TiB.
constexpr uint64_t kBytesMost = uint64_t{1} << 40;

Choices<LogLevel> LogLevelNames() {
  return {{"debug", LogLevel::kDebug},
          {"info", LogLevel::kInfo},
          {"warning", LogLevel::kWarning},
          {"error", LogLevel::kError},
          {"off", LogLevel::kOff}};
}

void AddTimes(Command& serve, BrokerOptions& broker) {
  serve.AddDuration("--adaptive-spin", broker.adaptive_spin,
                    "how long an idle worker spins before it sleeps, while "
                    "messages come that fast; 0: not at all [100us]");
  serve.AddDuration("--busy-poll", broker.busy_poll,
                    "how long an idle worker spins before it sleeps, whatever "
                    "comes [0s]");
  serve.AddDuration("--stall-timeout", broker.stall_timeout,
                    "how long a full subscriber may hold up publishers before "
                    "its oldest messages are dropped [1s]");
  serve.AddDuration("--drain-timeout", broker.drain_timeout,
                    "how long publishers may take to finish when it stops "
                    "[5s]");
  serve.AddDuration("--group-linger", broker.group_linger,
                    "how long a queue group that acknowledges waits for "
                    "members when it has none [1m]");
}

void AddQueues(Command& serve, BrokerOptions& broker) {
  serve.AddCount("--queue-bytes BYTES", broker.egress_queue_bytes_max,
                 {1, kBytesMost},
                 "what is queued for one subscriber before its publishers "
                 "wait [1048576]");
  serve.AddCount("--queue-messages COUNT", broker.egress_queue_messages_max,
                 kPositive, "the same in messages [not bounded]");
  serve.AddChoices(
      "--overflow-allowed POLICY,...", broker.overflow_allowed,
      Choices<Overflow>(kOverflowNames.begin(), kOverflowNames.end()),
      "what subscribers may ask for when they are too slow "
      "[all]");
  serve.AddCount("--frame-bytes BYTES", broker.frame_bytes_max,
                 {1024, kFrameBytesMaxDefault}, "the largest frame [16777216]");
  serve.AddCount("--pipes-bytes BYTES", broker.grown_pipes_bytes_max,
                 {0, kBytesMost},
                 "what busy pipes may grow to, all together, within half of "
                 "what the kernel lets this user have; 0: none grows "
                 "[268435456]");
}

void AddLogs(Command& serve, BrokerOptions& broker) {
  serve.AddParsed(
      "--state-dir DIR",
      [&broker](const std::string& dir) {
        broker.state_dir = dir;
        return dir.empty() ? absl::InvalidArgumentError(
                                 "it is empty; without --state-dir logs are in "
                                 "their usual place")
                           : absl::OkStatus();
      },
      std::string("where logs are kept, in DIR/logs; made if missing ") +
          kStateDirectoryHelp);
  serve.AddEach(
      "--log NAME=PATTERN",
      [&broker](const std::string& text) {
        auto rule = ParseLogOption(text);
        if (!rule.ok()) return rule.status();
        broker.logs.push_back(*std::move(rule));
        return CheckLogRules(broker.logs);
      },
      "store the messages of all topics that PATTERN matches in this log; may "
      "be given several times, and the first that matches counts");
}

}  // namespace

void AddServeOptions(Command& serve, ServeOptions& options) {
  BrokerOptions& broker = options.broker;
  serve.AddParsed(
      "--dir DIR",
      [&broker](const std::string& dir) {
        broker.dir = dir;
        return dir.empty() ? absl::InvalidArgumentError(
                                 "it is empty; without --dir the bus is in "
                                 "its usual place")
                           : absl::OkStatus();
      },
      "the bus directory, made if missing [$FIFOBUS_DIR, "
      "/run/fifobus for root, $XDG_RUNTIME_DIR/fifobus, "
      "/dev/shm/fifobus-UID]");
  serve.AddCount("--workers N", broker.workers, {1, 1024},
                 "threads [one for each core]");
  AddTimes(serve, broker);
  AddQueues(serve, broker);
  serve.AddEach(
      "--history PATTERN=COUNT",
      [&broker](const std::string& text) {
        auto rule = ParseHistoryRule(text);
        if (rule.ok()) broker.history.push_back(*std::move(rule));
        return rule.status();
      },
      "keep the last COUNT messages of each topic that PATTERN matches for "
      "later subscribers; may be given several times");
  AddLogs(serve, broker);
  serve.AddDuration("--sys-interval", broker.sys_stats_interval,
                    "how often $sys/stats is published while somebody "
                    "subscribes to it [5s]");
  serve.AddChoice("--log-level LEVEL", options.log_level, LogLevelNames(),
                  "from which level on it logs [info]");
}

}  // namespace fifobus::cli
