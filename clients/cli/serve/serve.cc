#include <malloc.h>
#include <signal.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "broker/base/log.h"
#include "broker/base/unique_fd.h"
#include "broker/broker.h"
#include "clients/cli/commands.h"
#include "clients/cli/serve/config_file.h"
#include "clients/cli/serve/descriptor_limit.h"
#include "clients/cli/serve/keep.h"
#include "clients/cli/serve/log_config.h"
#include "clients/cli/serve/serve_options.h"
#include "clients/cli/serve/take_over.h"
#include "clients/cli/state_directory.h"
#include "clients/cli/stop_signals.h"
#include "clients/cpp/bus_locator.h"
#include "fmt/format.h"

namespace fifobus::cli {
namespace {

// How long it waits at its end for whatever reads its log. Not tuned.
constexpr absl::Duration kLogPatience = absl::Seconds(1);

struct ServeCommand {
  ServeOptions options;
  KeepOptions keep;
  std::string config;  // the file's path; empty: none
  bool check = false;
};

// What is in force.
struct Configuration {
  ConfigFile file;                    // without a path: there is none
  std::vector<LogRule> options_logs;  // of the command line, before the file's
};

// All logs, in their order.
absl::StatusOr<std::vector<LogRule>> AllLogs(std::vector<LogRule> options_logs,
                                             const ConfigFile& file) {
  options_logs.insert(options_logs.end(), file.logs.begin(), file.logs.end());
  absl::Status status = CheckLogRules(options_logs);
  if (!status.ok()) return status;
  return options_logs;
}

void WarnOfShadowedLogs(const std::vector<LogRule>& logs) {
  for (const std::string& sentence : ShadowedLogs(logs)) {
    LogWarning("log shadowed", {{"reason", sentence}});
  }
}

// While subscribers are now and then behind, chunks are freed and allocated
// again all the time. By default glibc gives such memory back at once, and the
// kernel faults each page in anew: bench/DECISIONS.md.
void KeepFreedMemory() {
  // Of each thread that has freed it. A few full queues.
  constexpr int kKeptBytes = 16 << 20;
  (void)mallopt(M_TRIM_THRESHOLD, kKeptBytes);
  // The most there is; chunks of its own mapping are never kept.
  constexpr int kMappedBytesMin = 32 << 20;
  (void)mallopt(M_MMAP_THRESHOLD, kMappedBytesMin);
}

// What the file says, checked as a whole. What the command line says is checked
// already, and is not repeated here.
absl::StatusOr<ConfigFile> Load(const std::string& path, Command& serve) {
  auto file = ReadConfigFile(path);
  if (!file.ok()) return file.status();
  const absl::Status status = ApplySettings(*file, serve);
  if (!status.ok()) return status;
  return file;
}

// Puts the logs and the topics of a file in force, or changes nothing. The
// topics' rules are known to be good.
absl::Status PutInForce(Broker& broker, const ConfigFile& file,
                        const std::vector<LogRule>& options_logs) {
  const auto logs = AllLogs(options_logs, file);
  if (!logs.ok()) return logs.status();
  absl::Status status = broker.SetLogs(*logs);
  if (!status.ok()) return status;
  WarnOfShadowedLogs(*logs);
  return broker.SetTopicRules(file.topics);
}

// Reads the file again and puts its topics and logs in force. A bad file changes
// nothing.
void Reload(Broker& broker, Configuration& in_force) {
  // The options to check the settings with; nobody uses their values.
  Command checker("serve", "");
  ServeOptions unused;
  AddServeOptions(checker, unused);
  auto file = Load(in_force.file.path, checker);
  const absl::Status status =
      file.ok() ? PutInForce(broker, *file, in_force.options_logs)
                : file.status();
  if (!status.ok()) {
    LogError("the configuration is bad, the old one stays in force",
             {{"error", status.message()}});
    return;
  }
  if (file->settings != in_force.file.settings) {
    LogWarning(
        "only topics and logs are taken anew; other settings take a restart",
        {{"file", in_force.file.path}});
  }
  LogInfo("configuration reloaded", {{"file", in_force.file.path},
                                     {"topics", file->topics.size()},
                                     {"logs", file->logs.size()}});
  in_force.file.topics = std::move(file->topics);
  in_force.file.logs = std::move(file->logs);
}

// Until a signal to stop; returns it.
int AwaitStop(const UniqueFd& signals, Broker& broker,
              Configuration& in_force) {
  while (true) {
    const int received = AwaitSignal(signals);
    if (received == SIGUSR2) {
      UpgradeInPlace(broker);
    } else if (received == SIGHUP && !in_force.file.path.empty()) {
      Reload(broker, in_force);
    } else {
      return received;
    }
  }
}

absl::StatusOr<std::unique_ptr<Broker>> StartBroker(
    const BrokerOptions& options) {
  const std::optional<StateTask>& task = StateTaskOfThisProcess();
  if (task) return TakeOver(options, task->fd);
  return Broker::Start(options);
}

Exit RunBroker(const ServeOptions& options, Configuration configuration,
               const UniqueFd& signals) {
  const size_t descriptors = RaiseDescriptorLimit();
  KeepFreedMemory();
  WarnOfShadowedLogs(options.broker.logs);
  if (!options.broker.logs.empty() && IsInMemory(options.broker.state_dir)) {
    LogWarning("logs in memory: they do not survive the machine",
               {{"state_dir", options.broker.state_dir}});
  }
  auto broker = StartBroker(options.broker);
  if (!broker.ok()) return Fail(broker.status());
  if ((*broker)->upgrades() == 0) {
    LogInfo("ready", {{"dir", options.broker.dir},
                      {"pid", getpid()},
                      {"descriptors", descriptors}});
  }
  KeeperOfThisProcess().TellReady();
  const int received = AwaitStop(signals, **broker, configuration);
  // A second signal ends it at once. A keeper sees to that itself: it and its
  // broker may get the same signal from a terminal or a service manager.
  if (!KeeperOfThisProcess().exists()) ReleaseStopSignals();
  LogInfo("stopping", {{"signal", received}});
  const Broker::Leftover leftover = (*broker)->Stop();
  return leftover.bytes + leftover.unread_bytes == 0 ? kDone : kFailed;
}

Exit Serve(const ServeOptions& options, Configuration configuration) {
  // Before any thread starts, so that all inherit it.
  const auto signals = TakeStopSignals({SIGUSR2});
  if (!signals.ok()) return Fail(signals.status());
  StartLog(options.log_level);
  const Exit exit = RunBroker(options, std::move(configuration), *signals);
  FlushLog(kLogPatience);
  return exit;
}

// Completes the options by the file, and says what is wrong with the whole.
absl::Status Settle(ServeCommand& command, const ConfigFile& file) {
  BrokerOptions& broker = command.options.broker;
  broker.topics = file.topics;
  auto logs = AllLogs(broker.logs, file);
  if (!logs.ok()) return logs.status();
  broker.logs = *std::move(logs);
  auto state_dir = StateDirectory(broker.state_dir);
  if (state_dir.ok()) broker.state_dir = *state_dir;
  // A place for logs may be missing where there are none.
  if (broker.logs.empty()) return absl::OkStatus();
  return state_dir.ok() ? CheckStateDirectory(broker.state_dir)
                        : state_dir.status();
}

Exit TellGood(const ServeCommand& command, const ConfigFile& file) {
  const BrokerOptions& broker = command.options.broker;
  for (const std::string& sentence : ShadowedLogs(broker.logs)) {
    fmt::print("{}\n", sentence);
  }
  if (!broker.logs.empty() && IsInMemory(broker.state_dir)) {
    fmt::print("state-dir {} is in memory: logs do not survive the machine\n",
               broker.state_dir);
  }
  fmt::print("{}: good, {} settings, {} topics, {} log{}\n", command.config,
             file.settings.size(), file.topics.size(), broker.logs.size(),
             broker.logs.size() == 1 ? "" : "s");
  return kDone;
}

Exit RunServe(ServeCommand& command, Command& serve) {
  Configuration configuration;
  configuration.options_logs = command.options.broker.logs;
  if (!command.config.empty()) {
    auto loaded = Load(command.config, serve);
    if (!loaded.ok()) {
      (void)Fail(loaded.status());
      return kUsage;
    }
    configuration.file = *std::move(loaded);
  }
  const absl::Status status = Settle(command, configuration.file);
  if (!status.ok()) {
    (void)Fail(status);
    return kUsage;
  }
  if (command.check) return TellGood(command, configuration.file);
  const std::optional<StateTask>& task = StateTaskOfThisProcess();
  if (task && task->kind == StateTask::Kind::kCheck) {
    return CheckTakeOver(command.options.broker, task->fd);
  }
  BrokerOptions& broker = command.options.broker;
  broker.dir = BrokerDirectory(broker.dir);
  if (BecomesKeeper(command.keep)) {
    return Keep(command.keep, broker.dir, command.options.log_level,
                /*reloads=*/!command.config.empty());
  }
  broker.kept = KeeperOfThisProcess().exists();
  broker.restarts = KeeperOfThisProcess().restarts();
  return Serve(command.options, std::move(configuration));
}

}  // namespace

void AddServe(Command& program) {
  Command& serve = program.Add(
      "serve", "run a broker in the foreground, until SIGTERM or SIGINT");
  auto command = std::make_shared<ServeCommand>();
  AddServeOptions(serve, command->options);
  const Option config =
      serve.AddText("--config FILE", command->config,
                    "read settings, topics and logs from this TOML file; the "
                    "command line wins. SIGHUP reads its topics and logs "
                    "again");
  serve
      .AddFlag("--check", command->check,
               "only say whether the configuration is good")
      .Needs(config);
  AddKeepOptions(serve, command->keep);
  serve.Explain(
      "It logs changes of state to standard error, a line each. Its "
      "configuration is a TOML file: the options, without their dashes, and "
      "tables [[topic]] and [[log]]; clients/examples/bus.toml shows all of "
      "it.\n\n"
      "Examples:\n"
      "  fifobus serve\n"
      "  fifobus serve --dir ~/bus --history 'sensors/**=100'\n"
      "  fifobus serve --state-dir ~/logs --log 'orders=orders/**'\n"
      "  fifobus serve --config bus.toml --check\n"
      "  fifobus serve --keep --dir ~/bus");
  serve.OnRun([command, &serve] { return RunServe(*command, serve); });
}

}  // namespace fifobus::cli
