#include "clients/cli/inspect/families.h"

#include <utility>

#include "fmt/format.h"

namespace fifobus::cli {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

void Families::Count(std::string_view name, std::string_view help,
                     Labels labels, uint64_t value) {
  ClientMetric metric;
  metric.label = std::move(labels);
  metric.counter.value = static_cast<double>(value);
  Add(name, help, MetricType::Counter, std::move(metric));
}

void Families::Gauge(std::string_view name, std::string_view help,
                     Labels labels, uint64_t value) {
  ClientMetric metric;
  metric.label = std::move(labels);
  metric.gauge.value = static_cast<double>(value);
  Add(name, help, MetricType::Gauge, std::move(metric));
}

std::vector<MetricFamily> Families::Take() {
  std::vector<MetricFamily> all;
  for (auto& [name, family] : families_) all.push_back(std::move(family));
  families_.clear();
  return all;
}

void Families::Add(std::string_view name, std::string_view help,
                   MetricType type, ClientMetric metric) {
  MetricFamily& family = families_[fmt::format("fifobus_{}", name)];
  if (family.metric.empty()) {
    family.name = fmt::format("fifobus_{}", name);
    family.help = help;
    family.type = type;
  }
  family.metric.push_back(std::move(metric));
}

}  // namespace fifobus::cli
