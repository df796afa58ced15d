#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <memory>
#include <mutex>
#include <ostream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "broker/base/unique_fd.h"
#include "clients/cli/attend.h"
#include "clients/cli/bus_options.h"
#include "clients/cli/commands.h"
#include "clients/cli/inspect/metric_families.h"
#include "clients/cli/inspect/scrapes.h"
#include "clients/cli/output.h"
#include "clients/cli/stop_signals.h"
#include "clients/cpp/deadline.h"
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

  // Readable when Attend has something to do.
  int fd() const { return client_->fd(); }
  // As cli::Attend.
  absl::Status Attend() const {
    const std::lock_guard lock(mutex_);
    return cli::Attend(*client_);
  }

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

// Writes the file, if there is to be one, until a signal to stop. A file that
// would go on saying what was is removed then.
Exit Run(const BrokerMetrics& metrics, const MetricsOptions& options,
         const UniqueFd& signals) {
  Exit exit = kDone;
  Deadline next_write =
      options.textfile.empty() ? Deadline::Never() : Deadline::Now();
  while (TakenSignal(signals) == 0) {
    absl::Status status;
    if (next_write.HasCome()) {
      status = WriteTextfile(metrics, options.textfile);
      next_write = options.interval;
    }
    std::array<pollfd, 2> polled = {
        {{signals.get(), POLLIN, 0}, {metrics.fd(), POLLIN, 0}}};
    if (status.ok()) PollUntil(polled, next_write);
    if (polled[1].revents != 0) status = metrics.Attend();
    if (!status.ok()) {
      exit = Fail(status);
      break;
    }
  }
  if (!options.textfile.empty()) unlink(options.textfile.c_str());
  return exit;
}

Exit PrintOnce(const BrokerMetrics& metrics) {
  const absl::Status status = metrics.status();
  if (!status.ok()) return Fail(status);
  std::ostringstream text;
  Print(metrics, text);
  Output output;
  output.text() = text.str();
  return ExitOf(output.Flush(), kDone);
}

Exit Metrics(const MetricsOptions& options) {
  const bool once = options.listen_port == 0 && options.textfile.empty();
  // Before the first thread, so that all inherit it.
  absl::StatusOr<UniqueFd> signals;
  if (!once) {
    signals = TakeStopSignals();
    if (!signals.ok()) return Fail(signals.status());
  }
  auto client = ConnectClient(options.bus, "fifobus metrics");
  if (!client.ok()) return Fail(client.status());
  const auto metrics = std::make_shared<BrokerMetrics>(*std::move(client));
  if (once) return PrintOnce(*metrics);
  std::unique_ptr<prometheus::Exposer> exposer;
  if (options.listen_port != 0) {
    const std::string address =
        fmt::format("127.0.0.1:{}", options.listen_port);
    auto listening = ListenForScrapes(address);
    if (!listening.ok()) return Fail(listening.status());
    exposer = *std::move(listening);
    exposer->RegisterCollectable(metrics);
    Warn(fmt::format("metrics on http://{}/metrics", address));
  }
  return Run(*metrics, options, *signals);
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
