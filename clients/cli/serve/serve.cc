#include <malloc.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <utility>

#include "broker/base/log.h"
#include "broker/base/unique_fd.h"
#include "broker/broker.h"
#include "clients/cli/commands.h"
#include "clients/cli/serve/config_file.h"
#include "clients/cli/serve/serve_options.h"
#include "clients/cli/stop_signals.h"
#include "clients/cpp/bus_locator.h"
#include "fmt/format.h"

namespace fifobus::cli {
namespace {

// How long it waits at its end for whatever reads its log. Not tuned.
constexpr absl::Duration kLogPatience = absl::Seconds(1);

struct ServeCommand {
  ServeOptions options;
  std::string config;  // the file's path; empty: none
  bool check = false;
};

// Each session takes two descriptors; the usual soft limit of 1024 is for
// programs that use select(2).
rlim_t RaiseDescriptorLimit() {
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  limit.rlim_cur = limit.rlim_max;
  (void)setrlimit(RLIMIT_NOFILE, &limit);
  (void)getrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur;
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

// Reads the file again and puts its topics in force. A bad file changes
// nothing.
void Reload(Broker& broker, ConfigFile& in_force) {
  // The options to check the settings with; nobody uses their values.
  Command checker("serve", "");
  ServeOptions unused;
  AddServeOptions(checker, unused);
  auto file = Load(in_force.path, checker);
  const absl::Status status =
      file.ok() ? broker.SetTopicRules(file->topics) : file.status();
  if (!status.ok()) {
    LogError("the configuration is bad, the old one stays in force",
             {{"error", status.message()}});
    return;
  }
  if (file->settings != in_force.settings) {
    LogWarning("only topics are taken anew; other settings take a restart",
               {{"file", in_force.path}});
  }
  LogInfo("configuration reloaded",
          {{"file", in_force.path}, {"topics", file->topics.size()}});
  in_force.topics = std::move(file->topics);
}

// Until a signal to stop; returns it.
int AwaitStop(const UniqueFd& signals, Broker& broker, ConfigFile& file) {
  while (true) {
    const int received = AwaitSignal(signals);
    if (received != SIGHUP || file.path.empty()) return received;
    Reload(broker, file);
  }
}

Exit RunBroker(const ServeOptions& options, ConfigFile file,
               const UniqueFd& signals) {
  const rlim_t descriptors = RaiseDescriptorLimit();
  KeepFreedMemory();
  auto broker = Broker::Start(options.broker);
  if (!broker.ok()) return Fail(broker.status());
  LogInfo("ready", {{"dir", options.broker.dir},
                    {"pid", getpid()},
                    {"descriptors", descriptors}});
  const int received = AwaitStop(signals, **broker, file);
  // A second signal ends it at once.
  ReleaseStopSignals();
  LogInfo("stopping", {{"signal", received}});
  const Broker::Leftover leftover = (*broker)->Stop();
  return leftover.bytes + leftover.unread_bytes == 0 ? kDone : kFailed;
}

Exit Serve(const ServeOptions& options, ConfigFile file) {
  // Before any thread starts, so that all inherit it.
  const auto signals = TakeStopSignals();
  if (!signals.ok()) return Fail(signals.status());
  StartLog(options.log_level);
  const Exit exit = RunBroker(options, std::move(file), *signals);
  FlushLog(kLogPatience);
  return exit;
}

Exit RunServe(ServeCommand& command, Command& serve) {
  ConfigFile file;
  if (!command.config.empty()) {
    auto loaded = Load(command.config, serve);
    if (!loaded.ok()) {
      (void)Fail(loaded.status());
      return kUsage;
    }
    file = *std::move(loaded);
    command.options.broker.topics = file.topics;
  }
  if (command.check) {
    fmt::print("{}: good, {} settings, {} topics\n", command.config,
               file.settings.size(), file.topics.size());
    return kDone;
  }
  BrokerOptions& broker = command.options.broker;
  broker.dir = BrokerDirectory(broker.dir);
  return Serve(command.options, std::move(file));
}

}  // namespace

void AddServe(Command& program) {
  Command& serve = program.Add(
      "serve", "run a broker in the foreground, until SIGTERM or SIGINT");
  auto command = std::make_shared<ServeCommand>();
  AddServeOptions(serve, command->options);
  const Option config =
      serve.AddText("--config FILE", command->config,
                    "read settings and topics from this TOML file; the "
                    "command line wins. SIGHUP reads its topics again");
  serve
      .AddFlag("--check", command->check,
               "only say whether the configuration is good")
      .Needs(config);
  serve.Explain(
      "It logs changes of state to standard error, a line each. Its "
      "configuration is a TOML file: the options, without their dashes, and "
      "tables [[topic]]; clients/examples/bus.toml shows all of it.\n\n"
      "Examples:\n"
      "  fifobus serve\n"
      "  fifobus serve --dir ~/bus --history 'sensors/**=100'\n"
      "  fifobus serve --config bus.toml --check");
  serve.OnRun([command, &serve] { return RunServe(*command, serve); });
}

}  // namespace fifobus::cli
