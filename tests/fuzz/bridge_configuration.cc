// Any configuration of a bridge: it is taken, or each fault is a line that
// names the file; what is taken is valid.

#include <cstdint>
#include <string>
#include <string_view>

#include "clients/cli/bridge/bridge_config.h"
#include "clients/cli/bridge/bridge_plan.h"
#include "clients/cli/bridge/subject_names.h"
#include "proto/topic.h"
#include "tests/fuzz/oracle.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fifobus;          // NOLINT
  using namespace fifobus::bridge;  // NOLINT
  using fuzz::Require;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto read = ParseBridgeConfig(text, "/nowhere/bridge.toml");
  for (const std::string& fault : read.faults) {
    Require(fault.starts_with("/nowhere/bridge.toml"),
            "a fault names the file");
    Require(fault.find('\n') == std::string::npos, "a fault is one line");
  }
  if (!read.faults.empty()) return 0;
  Require(!read.config.maps.empty(), "a bridge has something to do");
  for (const MapConfig& map : read.config.maps) {
    Require(
        map.pattern.empty() || CheckPattern(map.pattern) == TopicFault::kNone,
        "a map's pattern is valid");
    Require(map.filter.empty() || FilterFault(map.filter).empty(),
            "a map's filter is valid");
  }
  Require(!PlanText(read.config).empty(), "there is a plan");
  return 0;
}
