#include "clients/cli/serve/serve_options.h"

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "broker/rules/history_rule.h"
#include "clients/cli/command.h"
#include "proto/overflow.h"

namespace fifobus::cli {

void AddServeOptions(CLI::App& serve, ServeOptions& options) {
  BrokerOptions& broker = options.broker;
  serve
      .add_option("--dir", broker.dir,
                  "the bus directory, made if missing [$FIFOBUS_DIR, "
                  "/run/fifobus for root, $XDG_RUNTIME_DIR/fifobus, "
                  "/dev/shm/fifobus-UID]")
      ->type_name("DIR");
  serve.add_option("--workers", broker.workers, "threads [one for each core]")
      ->check(CLI::Range(1, 1024))
      ->type_name("N");
  AddDuration(serve, "--adaptive-spin", broker.adaptive_spin,
              "how long an idle worker spins before it sleeps, while messages "
              "come that fast; 0: not at all [100us]");
  AddDuration(serve, "--busy-poll", broker.busy_poll,
              "how long an idle worker spins before it sleeps, whatever comes "
              "[0s]");
  AddDuration(serve, "--stall-timeout", broker.stall_timeout,
              "how long a full subscriber may hold up publishers before its "
              "oldest messages are dropped [1s]");
  AddDuration(serve, "--drain-timeout", broker.drain_timeout,
              "how long publishers may take to finish when it stops [5s]");
  AddDuration(serve, "--group-linger", broker.group_linger,
              "how long a queue group that acknowledges waits for members "
              "when it has none [1m]");
  serve
      .add_option("--queue-bytes", broker.egress_queue_bytes_max,
                  "what is queued for one subscriber before its publishers "
                  "wait [1048576]")
      ->check(CLI::Range(size_t{1}, size_t{1} << 40))
      ->type_name("BYTES");
  serve
      .add_option("--queue-messages", broker.egress_queue_messages_max,
                  "the same in messages [not bounded]")
      ->check(CLI::PositiveNumber)
      ->type_name("COUNT");
  serve
      .add_option("--overflow-allowed", broker.overflow_allowed,
                  "what subscribers may ask for when they are too slow: "
                  "drop-oldest, drop-newest, latest, disconnect, block [all]")
      ->delimiter(',')
      ->transform(CLI::CheckedTransformer(std::map<std::string, Overflow>(
          kOverflowNames.begin(), kOverflowNames.end())))
      ->type_name("POLICY,...");
  serve
      .add_option("--frame-bytes", broker.frame_bytes_max,
                  "the largest frame [16777216]")
      ->check(CLI::Range(size_t{1024}, kFrameBytesMaxDefault))
      ->type_name("BYTES");
  serve
      .add_option("--pipes-bytes", broker.grown_pipes_bytes_max,
                  "what busy pipes may grow to, all together, within half of "
                  "what the kernel lets this user have; 0: none grows "
                  "[268435456]")
      ->check(CLI::Range(size_t{0}, size_t{1} << 40))
      ->type_name("BYTES");
  serve
      .add_option_function<std::vector<std::string>>(
          "--history",
          [&broker](const std::vector<std::string>& rules) {
            for (const std::string& text : rules) {
              auto rule = ParseHistoryRule(text);
              if (!rule.ok()) {
                throw CLI::ValidationError(
                    std::string(rule.status().message()));
              }
              broker.history.push_back(*std::move(rule));
            }
          },
          "keep the last COUNT messages of each topic that PATTERN matches for "
          "later subscribers; may be given several times")
      ->type_name("PATTERN=COUNT")
      ->allow_extra_args(false);
  AddDuration(serve, "--sys-interval", broker.sys_stats_interval,
              "how often $sys/stats is published while somebody subscribes to "
              "it [5s]");
  serve
      .add_option("--log-level", options.log_level,
                  "debug, info, warning, error or off [info]")
      ->transform(CLI::CheckedTransformer(
          std::map<std::string, LogLevel>{{"debug", LogLevel::kDebug},
                                          {"info", LogLevel::kInfo},
                                          {"warning", LogLevel::kWarning},
                                          {"error", LogLevel::kError},
                                          {"off", LogLevel::kOff}}))
      ->type_name("LEVEL");
}

}  // namespace fifobus::cli
