#include "clients/cli/bridge/bridge_metrics.h"

#include <string>
#include <thread>

#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "prometheus/text_serializer.h"
#include "tests/support/bus_support.h"

namespace fifobus::bridge {
namespace {

BridgeSnapshot Snapshot() {
  BridgeSnapshot snapshot;
  snapshot.origin = "edge1";
  snapshot.connected = true;
  snapshot.server = "nats://a:4222";
  snapshot.since = absl::FromUnixSeconds(1795860000);
  snapshot.reconnects = 3;
  BridgeSnapshot::Map map;
  map.name = "out orders/**";
  map.pattern = "orders/**";
  map.stream = "ORDERS";
  map.is_out = true;
  map.counters.passed = 12;
  map.counters.behind = 5;
  map.dead = {{"no-subject", 2}};
  map.trouble = "a \"quoted\" \xff word";
  snapshot.maps.push_back(map);
  return snapshot;
}

// What a scraper gets. No bus is asked: there is none in this folder.
std::string Text(const BridgeMetrics& metrics) {
  return prometheus::TextSerializer().Serialize(metrics.Collect());
}

ClientOptions NoBus(const TempDir& dir) {
  ClientOptions options;
  options.dir = dir.path() + "/none";
  options.connect_timeout = absl::ZeroDuration();
  return options;
}

TEST(BridgeMetricsTest, EachCountHasItsLabels) {
  const TempDir dir;
  BridgeMetrics metrics("edge1", NoBus(dir));
  metrics.Set(Snapshot());
  const std::string text = Text(metrics);
  for (const char* sample :
       {"fifobus_bridge_connected{bridge=\"edge1\"} 1",
        "fifobus_bridge_reconnects_total{bridge=\"edge1\"} 3",
        "fifobus_bridge_clock_off{bridge=\"edge1\"} 0",
        "fifobus_bridge_forwarded_messages_total{bridge=\"edge1\",map=\"out "
        "orders/**\",direction=\"out\"} 12",
        "fifobus_bridge_behind_messages{bridge=\"edge1\",map=\"out "
        "orders/**\",direction=\"out\"} 5",
        "fifobus_bridge_map_waits{bridge=\"edge1\",map=\"out "
        "orders/**\",direction=\"out\"} 1",
        "fifobus_bridge_dead_letters_total{bridge=\"edge1\",map=\"out "
        "orders/**\",direction=\"out\",reason=\"no-subject\"} 2"}) {
    EXPECT_NE(text.find(sample), std::string::npos) << sample << "\n" << text;
  }
}

TEST(BridgeMetricsTest, BeforeTheFirstStateThereIsNoConnection) {
  const TempDir dir;
  const BridgeMetrics metrics("edge1", NoBus(dir));
  EXPECT_NE(Text(metrics).find("fifobus_bridge_connected{bridge=\"edge1\"} 0"),
            std::string::npos);
}

TEST(BridgeMetricsTest, ScrapesAndChangesDoNotMeet) {
  const TempDir dir;
  BridgeMetrics metrics("edge1", NoBus(dir));
  std::thread maps([&metrics] {
    for (int i = 0; i < 1000; ++i) metrics.Set(Snapshot());
  });
  for (int i = 0; i < 50; ++i) EXPECT_FALSE(metrics.Collect().empty());
  maps.join();
}

TEST(BridgeSnapshotTest, JsonHasAllOfIt) {
  const auto json = nlohmann::json::parse(ToJson(Snapshot()));
  EXPECT_EQ(json["origin"], "edge1");
  EXPECT_EQ(json["connected"], true);
  EXPECT_EQ(json["since"], "2026-11-28T10:00:00+00:00");
  const auto& map = json["maps"][0];
  EXPECT_EQ(map["direction"], "out");
  EXPECT_EQ(map["passed"], 12);
  EXPECT_EQ(map["behind"], 5);
  EXPECT_EQ(map["dead"]["no-subject"], 2);
  // Bytes that are no UTF-8 are replaced.
  EXPECT_EQ(map["trouble"], "a \"quoted\" \xef\xbf\xbd word");
  BridgeSnapshot unknown = Snapshot();
  unknown.maps[0].counters.behind.reset();
  EXPECT_FALSE(
      nlohmann::json::parse(ToJson(unknown))["maps"][0].contains("behind"));
}

}  // namespace
}  // namespace fifobus::bridge
