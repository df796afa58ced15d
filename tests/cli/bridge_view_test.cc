#include "clients/cli/inspect/bridge_view.h"

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "gtest/gtest.h"

namespace fifobus::cli {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1795860041);

// A bridge that lost its server 41 s before kNow, or has it.
std::vector<BridgeView> Bridges(bool connected, const std::string& trouble = "",
                                const std::string& warning = "") {
  const std::string json =
      R"({"origin":"edge1","connected":)" +
      std::string(connected ? "true" : "false") +
      R"(,"server":"nats://nats2:4222","trouble":"Stale Connection",)"
      R"("since":"2026-11-28T10:00:00+00:00","maps":[{"map":"out orders/**",)"
      R"("pattern":"orders/**","reader":"nats-ORDERS","behind":12431,)"
      R"("passed":3,"set_aside":1,"trouble":")" +
      trouble + R"(","since":"2026-11-28T10:00:31+00:00","warning":")" +
      warning + R"("}]})";
  const auto bridge = ReadBridgeStatus(json);
  EXPECT_TRUE(bridge.has_value()) << json;
  return {*bridge};
}

TEST(BridgeViewTest, WhatIsNoStatusIsNone) {
  for (const char* text :
       {"", "nonsense", "[]", "{}", R"({"origin":7})", R"({"maps":[]})"}) {
    EXPECT_FALSE(ReadBridgeStatus(text).has_value()) << text;
  }
  // Members of another kind are as absent.
  const auto odd = ReadBridgeStatus(
      R"({"origin":"a","connected":1,"since":"now","maps":[7,{"map":9}]})");
  ASSERT_TRUE(odd.has_value());
  EXPECT_FALSE(odd->connected);
  ASSERT_EQ(odd->maps.size(), 1U);
  EXPECT_EQ(odd->maps[0].name, "");
  EXPECT_EQ(BridgeSentences({*odd}, "a", kNow), "");
}

TEST(BridgeViewTest, TopicWaitsForABridgeThatIsCutOff) {
  EXPECT_EQ(BridgeSentences(Bridges(false), "orders/new", kNow),
            "- It waits for the bridge edge1 (out orders/**): 12,431 messages "
            "behind, server nats2:4222 not reachable for 41s (Stale "
            "Connection).\n"
            "  It has set 1 message aside.\n");
  EXPECT_EQ(BridgeSentences(Bridges(false), "other", kNow), "");
}

TEST(BridgeViewTest, TopicWaitsForAMapThatLacksSomething) {
  EXPECT_EQ(BridgeSentences(Bridges(true, "stream S: stream not found"),
                            "orders/new", kNow),
            "- It waits for the bridge edge1 (out orders/**): 12,431 messages "
            "behind, stream S: stream not found for 10s.\n"
            "  It has set 1 message aside.\n");
}

TEST(BridgeViewTest, BridgeThatWorksSaysWhatItHasDoneAndMayLose) {
  EXPECT_EQ(BridgeSentences(Bridges(true, "", "stream S drops messages"),
                            "orders/new", kNow),
            "- The bridge edge1 (out orders/**) works: 12,431 messages behind, "
            "3 messages passed.\n"
            "  It has set 1 message aside.\n"
            "  stream S drops messages.\n");
}

TEST(BridgeViewTest, TablesAndLinesShowTheState) {
  EXPECT_EQ(BridgeTables({}, kNow), "");
  const std::string tables = BridgeTables(Bridges(false), kNow);
  EXPECT_NE(tables.find("server nats2:4222 not reachable for 41s (Stale"),
            std::string::npos)
      << tables;
  EXPECT_NE(tables.find("     12431 "), std::string::npos) << tables;
  const std::string lines =
      BridgeLines(Bridges(true, "no leader").front(), kNow);
  EXPECT_NE(lines.find("bridge edge1 to NATS\n"), std::string::npos);
  EXPECT_NE(lines.find("waits for 10s: no leader"), std::string::npos) << lines;
  EXPECT_EQ(BridgesJson(Bridges(true)).find("[{\"origin\":\"edge1\""), 0U);
  EXPECT_EQ(BridgesJson({}), "[]");
}

}  // namespace
}  // namespace fifobus::cli
