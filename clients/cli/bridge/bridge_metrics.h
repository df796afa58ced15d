#ifndef FIFOBUS_CLIENTS_CLI_BRIDGE_BRIDGE_METRICS_H_
#define FIFOBUS_CLIENTS_CLI_BRIDGE_BRIDGE_METRICS_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "broker/base/mutex.h"
#include "clients/cli/bridge/bridge_snapshot.h"
#include "clients/cpp/client_options.h"
#include "prometheus/collectable.h"
#include "prometheus/metric_family.h"

namespace fifobus::bridge {

// A bridge in Prometheus's terms: families named fifobus_bridge_*, with the
// labels bridge (its origin) and map. How far a log's reader is behind is asked
// of the broker at each scrape, by a client that lives as long, so that a scrape
// never holds up the maps.
//
// Thread-safe: the maps' thread sets, the server's threads collect.
class BridgeMetrics : public prometheus::Collectable {
 public:
  BridgeMetrics(const std::string& origin, ClientOptions bus)
      : bus_(std::move(bus)) {
    snapshot_.origin = origin;
  }

  void Set(BridgeSnapshot snapshot);
  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  // Sets `behind` where the broker knows it.
  void AskLags(BridgeSnapshot& snapshot) const;

  mutable Mutex mutex_;
  BridgeSnapshot snapshot_ ABSL_GUARDED_BY(mutex_);
  const ClientOptions bus_;
};

}  // namespace fifobus::bridge

#endif  // FIFOBUS_CLIENTS_CLI_BRIDGE_BRIDGE_METRICS_H_
