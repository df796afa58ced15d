#ifndef FIFOBUS_CLIENTS_CLI_INSPECT_FAMILIES_H_
#define FIFOBUS_CLIENTS_CLI_INSPECT_FAMILIES_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "prometheus/client_metric.h"
#include "prometheus/metric_family.h"
#include "prometheus/metric_type.h"

namespace fifobus::cli {

// Families of Prometheus by name, each made when its first value is added, and
// named fifobus_NAME. Names of counters end in _total. Thread-compatible.
class Families {
 public:
  using Labels = std::vector<prometheus::ClientMetric::Label>;

  void Count(std::string_view name, std::string_view help, Labels labels,
             uint64_t value);
  void Gauge(std::string_view name, std::string_view help, Labels labels,
             uint64_t value);

  // By name. Leaves none.
  std::vector<prometheus::MetricFamily> Take();

 private:
  void Add(std::string_view name, std::string_view help,
           prometheus::MetricType type, prometheus::ClientMetric metric);

  std::map<std::string, prometheus::MetricFamily> families_;
};

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_INSPECT_FAMILIES_H_
