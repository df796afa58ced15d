#include <memory>
#include <string>

#include "broker/base/log.h"
#include "clients/cli/bridge/bridge.h"
#include "clients/cli/bridge/bridge_config.h"
#include "clients/cli/bridge/bridge_metrics.h"
#include "clients/cli/bridge/bridge_plan.h"
#include "clients/cli/bridge/dry_run.h"
#include "clients/cli/bus_options.h"
#include "clients/cli/commands.h"
#include "clients/cli/inspect/scrapes.h"
#include "clients/cli/output.h"
#include "clients/cli/stop_signals.h"
#include "prometheus/exposer.h"

namespace fifobus::cli {
namespace {

struct BridgeOptions {
  BusOptions bus;
  std::string config;
  bool check = false;
  std::string metrics;  // an address; empty: none
  LogLevel log_level = LogLevel::kInfo;
};

constexpr absl::Duration kLogPatience = absl::Seconds(1);

ClientOptions ClientOf(const BridgeOptions& options,
                       const bridge::BridgeConfig& config) {
  ClientOptions client;
  client.dir = options.bus.dir;
  client.connect_timeout = options.bus.connect_timeout;
  client.client_name = "fifobus bridge " + config.origin;
  return client;
}

// "9465" is that of this machine.
std::string AddressOf(const std::string& metrics) {
  return metrics.find(':') == std::string::npos ? "127.0.0.1:" + metrics
                                                : metrics;
}

Exit Work(const BridgeOptions& options, const bridge::BridgeConfig& config) {
  // Before the first thread, so that all inherit it.
  const auto signals = TakeStopSignals();
  if (!signals.ok()) return Fail(signals.status());
  StartLog(options.log_level);
  const ClientOptions client = ClientOf(options, config);
  std::shared_ptr<bridge::BridgeMetrics> metrics;
  std::unique_ptr<prometheus::Exposer> exposer;
  if (!options.metrics.empty()) {
    const std::string address = AddressOf(options.metrics);
    auto listening = ListenForScrapes(address);
    if (!listening.ok()) return Fail(listening.status());
    exposer = *std::move(listening);
    metrics = std::make_shared<bridge::BridgeMetrics>(config.origin, client);
    exposer->RegisterCollectable(metrics);
    LogInfo("metrics", {{"url", "http://" + address + "/metrics"}});
  }
  absl::Status status;
  {
    auto opened = bridge::Bridge::Open(config, client, metrics);
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
  output.text() =
      bridge::PlanText(read.config) +
      bridge::DryRunText(read.config, ClientOf(options, read.config));
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
               "only read the file, and say what would go where of what is "
               "there now");
  nats.AddText("--metrics ADDRESS", options->metrics,
               "answer Prometheus on HOST:PORT, or on PORT of 127.0.0.1, path "
               "/metrics");
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
      "and its log says what for; so do `fifobus ls` and `fifobus why`. For "
      "Prometheus, with --metrics 9465, it is the target 127.0.0.1:9465.\n\n"
      "Examples:\n"
      "  fifobus bridge nats --config bridge.toml --check\n"
      "  fifobus bridge nats --config bridge.toml");
  nats.OnRun([options] { return BridgeNats(*options); });
}

}  // namespace fifobus::cli
