#include <memory>
#include <string>

#include "broker/base/log.h"
#include "clients/cli/bridge/bridge.h"
#include "clients/cli/bridge/bridge_config.h"
#include "clients/cli/bus_options.h"
#include "clients/cli/commands.h"
#include "clients/cli/output.h"
#include "clients/cli/stop_signals.h"

namespace fifobus::cli {
namespace {

struct BridgeOptions {
  BusOptions bus;
  std::string config;
  bool check = false;
  LogLevel log_level = LogLevel::kInfo;
};

constexpr absl::Duration kLogPatience = absl::Seconds(1);

Exit Work(const BridgeOptions& options, const bridge::BridgeConfig& config) {
  // Before the first thread, so that all inherit it.
  const auto signals = TakeStopSignals();
  if (!signals.ok()) return Fail(signals.status());
  StartLog(options.log_level);
  ClientOptions client;
  client.dir = options.bus.dir;
  client.connect_timeout = options.bus.connect_timeout;
  client.client_name = "fifobus bridge " + config.origin;
  absl::Status status;
  {
    auto opened = bridge::Bridge::Open(config, client);
    status = opened.ok() ? (*opened)->Run(*signals) : opened.status();
  }
  FlushLog(kLogPatience);
  return status.ok() ? kDone : Fail(status);
}

Exit BridgeNats(const BridgeOptions& options) {
  const bridge::ReadBridgeConfig read =
      bridge::ReadBridgeConfigFile(options.config);
  for (const std::string& fault : read.faults) Warn(fault);
  if (!read.faults.empty()) return kFailed;
  if (!options.check) return Work(options, read.config);
  Output output;
  output.text() = bridge::PlanText(read.config);
  return ExitOf(output.Flush(), kDone);
}

}  // namespace

void AddBridge(Command& program) {
  Command& bridge =
      program.Add("bridge", "share topics with servers of another kind");
  bridge.Explain(
      "Examples:\n"
      "  fifobus bridge nats --config bridge.toml --check");
  Command& nats = bridge.Add(
      "nats", "bring topics and logs to NATS and its JetStream, and back");
  auto options = std::make_shared<BridgeOptions>();
  nats.AddText("--config FILE", options->config,
               "what goes where, a TOML file; see BRIDGE.md")
      .Required();
  nats.AddFlag("--check", options->check,
               "only read the file, and say what would go where");
  options->bus.AddTo(nats);
  nats.AddChoice("--log-level LEVEL", options->log_level,
                 Choices<LogLevel>{{"debug", LogLevel::kDebug},
                                   {"info", LogLevel::kInfo},
                                   {"warning", LogLevel::kWarning},
                                   {"error", LogLevel::kError}},
                 "the least level that is logged on standard error [info]");
  nats.Explain(
      "The bridge is a client of both sides, and the broker has no part in it: "
      "a bridge that is slow, cut off or killed delays nobody on the bus. What "
      "goes from a log to a stream, or back, goes once and in order, over "
      "outages of any length. Live topics and subjects go at most once.\n\n"
      "It ends with an error if its configuration is wrong or the bus has not "
      "what it needs, such as a log. It waits for servers, streams and rights, "
      "and its log says what for.\n\n"
      "Examples:\n"
      "  fifobus bridge nats --config bridge.toml --check\n"
      "  fifobus bridge nats --config bridge.toml");
  nats.OnRun([options] { return BridgeNats(*options); });
}

}  // namespace fifobus::cli
