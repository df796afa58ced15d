#include "clients/cli/bridge/map_conflicts.h"

#include <cstddef>

#include "fmt/format.h"
#include "proto/topic.h"

namespace fifobus::bridge {
namespace {

std::string Fault(const BridgeConfig& config, const MapConfig& map,
                  std::string_view key, std::string_view text) {
  return fmt::format("{}:{}: {} {}", config.path, map.line, key, text);
}

// What of a filter becomes topics: what is below the subjects' prefix.
std::string Narrowed(const MapConfig& in) {
  if (in.names.subject_prefix.empty()) return in.filter;
  const std::string below = in.names.subject_prefix + ".>";
  return FilterCovers(in.filter, below) ? below : in.filter;
}

// A live map sees the subjects of streams as well.
bool MayLoop(const MapConfig& out, const MapConfig& in) {
  return Overlaps(out.pattern, in.pattern) &&
         FiltersOverlap(out.filter, Narrowed(in));
}

// What is wrong with `b`, given `a` that stands before it.
std::string PairFault(const BridgeConfig& config, const MapConfig& a,
                      const MapConfig& b) {
  if (a.kind == MapKind::kLogOut && b.kind == MapKind::kLogOut &&
      a.durable == b.durable) {
    return Fault(
        config, b, "durable",
        fmt::format("\"{}\" is that of line {} as well", b.durable, a.line));
  }
  if (a.writes_stream() && b.writes_stream()) {
    if (a.stream == b.stream && !(a.shared && b.shared)) {
      return Fault(config, b, "stream",
                   fmt::format("\"{}\" is written by line {} as well: give "
                               "each its own, or set shared = true in both",
                               b.stream, a.line));
    }
  }
  if (a.kind == MapKind::kStreamIn && b.kind == MapKind::kStreamIn &&
      a.stream == b.stream && a.consumer == b.consumer) {
    return Fault(
        config, b, "consumer",
        fmt::format("\"{}\" is that of line {} as well", b.consumer, a.line));
  }
  if (a.is_out() != b.is_out() &&
      (a.is_out() ? MayLoop(a, b) : MayLoop(b, a))) {
    return Fault(config, b, a.is_out() ? "filter" : "pattern",
                 fmt::format("makes a loop with line {}: what one brings in, "
                             "the other one would send out again; use other "
                             "prefixes",
                             a.line));
  }
  return "";
}

}  // namespace

std::vector<std::string> MapConflicts(const BridgeConfig& config) {
  std::vector<std::string> faults;
  for (size_t i = 0; i < config.maps.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      std::string fault = PairFault(config, config.maps[j], config.maps[i]);
      if (!fault.empty()) faults.push_back(std::move(fault));
    }
  }
  return faults;
}

}  // namespace fifobus::bridge
