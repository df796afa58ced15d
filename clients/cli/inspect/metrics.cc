#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <fstream>
#include <iostream>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "clients/cli/bus_options.h"
#include "clients/cli/commands.h"
#include "clients/cli/inspect/metric_families.h"
#include "fmt/format.h"
#include "prometheus/collectable.h"
#include "prometheus/exposer.h"
#include "prometheus/text_serializer.h"

namespace fifobus::cli {
namespace {

// A broker that does not answer in this time is down for the scraper, whose own
// patience is 10 s unless it is told otherwise.
constexpr absl::Duration kAnswerPatience = absl::Seconds(2);

struct MetricsOptions {
  BusOptions bus;
  uint16_t listen_port = 0;  // 0: no HTTP
  std::string textfile;      // empty: none
  absl::Duration interval = absl::Seconds(15);
};

// Asks the broker at each scrape. It is a client as any other: what it costs
// the broker is one Stats.
class BrokerMetrics : public prometheus::Collectable {
 public:
  explicit BrokerMetrics(std::unique_ptr<Client> client)
      : client_(std::move(client)) {}

  std::vector<prometheus::MetricFamily> Collect() const override {
    const auto stats = Ask();
    std::vector<prometheus::MetricFamily> families;
    if (stats.ok()) families = MetricFamilies(*stats);
    families.push_back(UpFamily(stats.ok()));
    return families;
  }

  absl::Status status() const { return Ask().status(); }

 private:
  absl::StatusOr<pb::StatsReply> Ask() const {
    const std::lock_guard lock(mutex_);
    return client_->Stats(kAnswerPatience);
  }

  mutable std::mutex mutex_;
  const std::unique_ptr<Client> client_;
};

void Print(const BrokerMetrics& metrics, std::ostream& out) {
  prometheus::TextSerializer().Serialize(out, metrics.Collect());
}

// Replaced as a whole, so that a reader never sees a part:
// https://github.com/prometheus/node_exporter#textfile-collector
absl::Status WriteTextfile(const BrokerMetrics& metrics,
                           const std::string& path) {
  const std::string temporary = fmt::format("{}.{}", path, getpid());
  {
    std::ofstream out(temporary);
    Print(metrics, out);
    out.close();
    if (!out) return absl::ErrnoToStatus(errno, temporary);
  }
  if (rename(temporary.c_str(), path.c_str()) != 0) {
    const int error = errno;
    unlink(temporary.c_str());
    return absl::ErrnoToStatus(error, path);
  }
  return absl::OkStatus();
}

sigset_t BlockStopSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return signals;
}

// Writes the file, if there is to be one, until a signal to stop. Then it
// removes the file, whose numbers would be out of date.
Exit Run(const BrokerMetrics& metrics, const MetricsOptions& options,
         const sigset_t& signals) {
  Exit exit = kDone;
  while (true) {
    if (!options.textfile.empty()) {
      const absl::Status status = WriteTextfile(metrics, options.textfile);
      if (!status.ok()) {
        exit = Fail(status);
        break;
      }
    }
    const timespec interval = absl::ToTimespec(options.interval);
    if (sigtimedwait(&signals, nullptr, &interval) >= 0) break;
  }
  if (!options.textfile.empty()) unlink(options.textfile.c_str());
  return exit;
}

Exit Metrics(const MetricsOptions& options) {
  const bool once = options.listen_port == 0 && options.textfile.empty();
  // Before the first thread, so that all inherit it.
  sigset_t signals;
  if (!once) signals = BlockStopSignals();
  auto client = ConnectClient(options.bus, "fifobus metrics");
  if (!client.ok()) return Fail(client.status());
  const auto metrics = std::make_shared<BrokerMetrics>(*std::move(client));
  if (once) {
    const absl::Status status = metrics->status();
    if (!status.ok()) return Fail(status);
    Print(*metrics, std::cout);
    return std::cout.flush() || errno == EPIPE ? kDone : kFailed;
  }
  std::unique_ptr<prometheus::Exposer> exposer;
  if (options.listen_port != 0) {
    const std::string address =
        fmt::format("127.0.0.1:{}", options.listen_port);
    try {
      // One thread: a second scrape at the same time can wait.
      exposer = std::make_unique<prometheus::Exposer>(address, 1);
    } catch (const std::exception& error) {
      return Fail(absl::UnavailableError(
          fmt::format("{} cannot be listened on: {}", address, error.what())));
    }
    exposer->RegisterCollectable(metrics);
    fmt::print(stderr, "fifobus: metrics on http://{}/metrics\n", address);
  }
  return Run(*metrics, options, signals);
}

}  // namespace

void AddMetrics(Command& program) {
  Command& metrics = program.Add(
      "metrics",
      "tell Prometheus about the bus; without options, print all once");
  auto options = std::make_shared<MetricsOptions>();
  options->bus.AddTo(metrics);
  metrics.AddCount("--listen PORT", options->listen_port, {1, 65535},
                   "answer HTTP on this port of 127.0.0.1, path /metrics");
  const Option textfile =
      metrics.AddText("--textfile FILE.prom", options->textfile,
                      "write this file, again and again, for the textfile "
                      "collector of node_exporter; removed at the end");
  metrics.AddInterval(options->interval, "how often the file is written [15s]")
      .Needs(textfile);
  metrics.Explain(
      "It is a client of the bus, and outlives the broker: fifobus_up says "
      "whether there is one. The port is for this machine only; for "
      "Prometheus, with --listen 9464, it is the target 127.0.0.1:9464.\n\n"
      "Examples:\n"
      "  fifobus metrics | grep stalled\n"
      "  fifobus metrics --textfile fifobus.prom --interval 30s");
  metrics.OnRun([options] { return Metrics(*options); });
}

}  // namespace fifobus::cli
