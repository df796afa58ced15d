#include "clients/cli/bridge/bridge_snapshot.h"

#include "nlohmann/json.hpp"

namespace fifobus::bridge {
namespace {

using Json = nlohmann::ordered_json;

std::string TimeText(absl::Time time) {
  return absl::FormatTime(absl::RFC3339_sec, time, absl::UTCTimeZone());
}

Json MapJson(const BridgeSnapshot::Map& map) {
  const MapCounters& counters = map.counters;
  Json json = {{"map", map.name},
               {"direction", map.is_out ? "out" : "in"},
               {"pattern", map.pattern},
               {"stream", map.stream},
               {"reader", map.reader},
               {"passed", counters.passed},
               {"in_flight", counters.in_flight},
               {"set_aside", counters.set_aside},
               {"returned", counters.returned},
               {"resent", counters.resent},
               {"duplicates", counters.duplicates},
               {"dropped", counters.dropped},
               {"missed", counters.missed},
               {"dead", map.dead},
               {"trouble", map.trouble},
               {"since", TimeText(map.since)},
               {"warning", map.warning}};
  if (counters.behind) json["behind"] = *counters.behind;
  return json;
}

}  // namespace

std::string ToJson(const BridgeSnapshot& snapshot) {
  Json json = {
      {"origin", snapshot.origin},         {"connected", snapshot.connected},
      {"server", snapshot.server},         {"trouble", snapshot.trouble},
      {"since", TimeText(snapshot.since)}, {"reconnects", snapshot.reconnects},
      {"clock", snapshot.clock},           {"maps", Json::array()}};
  for (const BridgeSnapshot::Map& map : snapshot.maps) {
    json["maps"].push_back(MapJson(map));
  }
  // A server's words may be no UTF-8.
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace fifobus::bridge
