#include "clients/cli/inspect/bridge_view.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "clients/cli/inspect/bus_view.h"
#include "clients/cli/json_members.h"
#include "fmt/format.h"
#include "nlohmann/json.hpp"
#include "proto/topic.h"

namespace fifobus::cli {
namespace {

using Json = nlohmann::json;

// How a bridge's session for its status is named; those of its maps have more
// words: bridge.cc.
constexpr std::string_view kSessionPrefix = "fifobus bridge ";

// A broker that does not answer a Subscribe so long is busy with other things.
constexpr absl::Duration kPatience = absl::Seconds(2);

absl::Time TimeAt(const Json& json, const char* name) {
  absl::Time time;
  std::string fault;
  return absl::ParseTime(absl::RFC3339_full, TextAt(json, name), &time, &fault)
             ? time
             : absl::InfinitePast();
}

bool IsTrue(const Json& json, const char* name) {
  const auto found = json.find(name);
  return found != json.end() && *found == true;
}

// "41 s" of a time; empty: it is not known.
std::string ForText(absl::Time since, absl::Time now) {
  if (since == absl::InfinitePast()) return "";
  const int64_t millis = absl::ToInt64Milliseconds(std::max(
      absl::Floor(now - since, absl::Seconds(1)), absl::ZeroDuration()));
  return " for " + AgeText(static_cast<uint64_t>(millis));
}

// "10.0.0.2:4222" of "nats://10.0.0.2:4222".
std::string WithoutSchemes(std::string servers) {
  for (const std::string_view scheme : {"nats://", "tls://"}) {
    for (size_t at = servers.find(scheme); at != std::string::npos;
         at = servers.find(scheme)) {
      servers.erase(at, scheme.size());
    }
  }
  return servers;
}

std::string ConnectionText(const BridgeView& bridge, absl::Time now) {
  if (bridge.connected) {
    return "connected" + ForText(bridge.since, now) +
           (bridge.trouble.empty() ? "" : "; " + bridge.trouble);
  }
  return fmt::format("server {} not reachable{} ({})",
                     WithoutSchemes(bridge.server), ForText(bridge.since, now),
                     bridge.trouble);
}

std::string BehindText(const BridgeView::Map& map) {
  return map.behind ? fmt::format("{}", *map.behind) : "-";
}

std::string MapState(const BridgeView::Map& map, absl::Time now) {
  if (!map.trouble.empty()) {
    return "waits" + ForText(map.since, now) + ": " + map.trouble;
  }
  return map.warning;
}

BridgeView::Map ReadMap(const Json& json) {
  BridgeView::Map map;
  map.name = TextAt(json, "map");
  map.pattern = TextAt(json, "pattern");
  map.stream = TextAt(json, "stream");
  map.reader = TextAt(json, "reader");
  map.passed = NumberAt(json, "passed");
  map.in_flight = NumberAt(json, "in_flight");
  map.set_aside = NumberAt(json, "set_aside");
  if (json.contains("behind")) map.behind = NumberAt(json, "behind");
  map.trouble = TextAt(json, "trouble");
  map.warning = TextAt(json, "warning");
  map.since = TimeAt(json, "since");
  return map;
}

// Topics on which a bridge has published, by the bridge's origin.
std::map<std::string, std::string> StatusTopics(const pb::StatsReply& stats) {
  std::map<uint64_t, std::string> bridges;
  for (const auto& session : stats.sessions()) {
    const std::string_view name = session.client_name();
    if (!name.starts_with(kSessionPrefix)) continue;
    const std::string_view origin = name.substr(kSessionPrefix.size());
    if (origin.find(' ') == std::string_view::npos) {
      bridges.emplace(session.number(), origin);
    }
  }
  std::map<std::string, std::string> topics;
  if (bridges.empty()) return topics;
  for (const auto& topic : stats.topics()) {
    for (const uint64_t publisher : topic.publishers()) {
      const auto found = bridges.find(publisher);
      if (found != bridges.end()) topics[topic.name()] = found->second;
    }
  }
  return topics;
}

void SetLags(const pb::StatsReply& stats, BridgeView& bridge) {
  for (BridgeView::Map& map : bridge.maps) {
    if (map.reader.empty()) continue;
    for (const auto& log : stats.logs()) {
      for (const auto& reader : log.readers()) {
        if (reader.name() == map.reader) map.behind = reader.lag();
      }
    }
  }
}

}  // namespace

std::optional<BridgeView> ReadBridgeStatus(std::string_view text) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || TextAt(json, "origin").empty()) return std::nullopt;
  BridgeView bridge;
  bridge.origin = TextAt(json, "origin");
  bridge.connected = IsTrue(json, "connected");
  bridge.server = TextAt(json, "server");
  bridge.trouble = TextAt(json, "trouble");
  bridge.since = TimeAt(json, "since");
  bridge.clock = TextAt(json, "clock");
  for (const Json& map : ListAt(json, "maps")) {
    if (map.is_object()) bridge.maps.push_back(ReadMap(map));
  }
  bridge.json = text;
  return bridge;
}

std::vector<BridgeView> ViewBridges(Client& client,
                                    const pb::StatsReply& stats) {
  std::vector<BridgeView> bridges;
  const Mode mode = client.mode();
  for (const auto& [topic, origin] : StatusTopics(stats)) {
    // A bus that does not let this user read it shows nothing of it.
    if (!client.Subscribe(topic, kPatience).ok()) continue;
    // The retained value has come before the Subscribe's answer.
    client.set_mode(Mode::kNonBlocking);
    for (Received got = client.Receive();
         got.outcome == ReceiveOutcome::kMessage ||
         got.outcome == ReceiveOutcome::kGap;
         got = client.Receive()) {
      if (got.outcome != ReceiveOutcome::kMessage) continue;
      auto bridge = ReadBridgeStatus(got.message.payload);
      if (!bridge || bridge->origin != origin) continue;
      SetLags(stats, *bridge);
      std::erase_if(bridges, [&](const BridgeView& other) {
        return other.origin == bridge->origin;
      });
      bridges.push_back(*std::move(bridge));
    }
    client.set_mode(mode);
    (void)client.Unsubscribe(topic, kPatience);
  }
  return bridges;
}

std::string BridgeTables(const std::vector<BridgeView>& bridges,
                         absl::Time now) {
  if (bridges.empty()) return "";
  std::string text =
      fmt::format("\n{:<24} {:<40} {}\n", "BRIDGE", "SERVER", "STATE");
  for (const BridgeView& bridge : bridges) {
    text +=
        fmt::format("{:<24} {:<40} {}\n", bridge.origin,
                    WithoutSchemes(bridge.server), ConnectionText(bridge, now));
  }
  text += fmt::format("\n{:<40} {:<16} {:>10} {:>10} {:>9} {:>9} {}\n", "MAP",
                      "BRIDGE", "PASSED", "BEHIND", "IN_FLIGHT", "SET_ASIDE",
                      "STATE");
  for (const BridgeView& bridge : bridges) {
    for (const BridgeView::Map& map : bridge.maps) {
      text += fmt::format("{:<40} {:<16} {:>10} {:>10} {:>9} {:>9} {}\n",
                          map.name, bridge.origin, map.passed, BehindText(map),
                          map.in_flight, map.set_aside, MapState(map, now));
    }
  }
  return text;
}

std::string BridgeLines(const BridgeView& bridge, absl::Time now) {
  const auto line = [](std::string_view title, std::string_view text) {
    return fmt::format("  {:<12} {}\n", title, text);
  };
  std::string text = fmt::format("bridge {} to NATS\n", bridge.origin);
  text += line("server", WithoutSchemes(bridge.server));
  text += line("state", ConnectionText(bridge, now));
  if (!bridge.clock.empty()) text += line("clock", bridge.clock);
  for (const BridgeView::Map& map : bridge.maps) {
    text +=
        line("map", fmt::format("{}: {} passed, {} behind, {} in flight, "
                                "{} set aside",
                                map.name, CountText(map.passed, "message"),
                                BehindText(map), map.in_flight, map.set_aside));
    if (!map.trouble.empty()) text += line("", MapState(map, now));
    if (!map.warning.empty()) text += line("", map.warning);
  }
  return text;
}

std::string BridgeSentences(const std::vector<BridgeView>& bridges,
                            std::string_view topic, absl::Time now) {
  std::string text;
  for (const BridgeView& bridge : bridges) {
    for (const BridgeView::Map& map : bridge.maps) {
      if (CheckPattern(map.pattern) != TopicFault::kNone ||
          !Matches(map.pattern, topic)) {
        continue;
      }
      const std::string behind =
          map.behind ? CountText(*map.behind, "message") + " behind, " : "";
      if (!bridge.connected) {
        text += fmt::format("- It waits for the bridge {} ({}): {}{}.\n",
                            bridge.origin, map.name, behind,
                            ConnectionText(bridge, now));
      } else if (!map.trouble.empty()) {
        text += fmt::format("- It waits for the bridge {} ({}): {}{}{}.\n",
                            bridge.origin, map.name, behind, map.trouble,
                            ForText(map.since, now));
      } else {
        text += fmt::format("- The bridge {} ({}) works: {}{} passed.\n",
                            bridge.origin, map.name, behind,
                            CountText(map.passed, "message"));
      }
      if (map.set_aside > 0) {
        text += fmt::format("  It has set {} aside.\n",
                            CountText(map.set_aside, "message"));
      }
      if (!map.warning.empty()) text += fmt::format("  {}.\n", map.warning);
    }
  }
  return text;
}

std::string BridgesJson(const std::vector<BridgeView>& bridges) {
  std::string list;
  for (const BridgeView& bridge : bridges) {
    list += (list.empty() ? "" : ",") + bridge.json;
  }
  return fmt::format("[{}]", list);
}

}  // namespace fifobus::cli
