#include "clients/cli/bridge/bridge_config.h"

#include <sys/stat.h>

#include <fstream>
#include <string>
#include <vector>

#include "clients/cli/bridge/bridge_plan.h"
#include "fmt/format.h"
#include "gtest/gtest.h"
#include "tests/support/bus_support.h"

namespace fifobus::bridge {
namespace {

constexpr char kHead[] =
    "origin = \"edge1\"\n[nats]\nservers = [\"nats://127.0.0.1:4222\"]\n";

ReadBridgeConfig Parse(const std::string& text) {
  return ParseBridgeConfig(text, "b.toml");
}
// With the head that all need.
ReadBridgeConfig ParseMaps(const std::string& maps) {
  return Parse(kHead + maps);
}
std::vector<std::string> FaultsOf(const std::string& maps) {
  return ParseMaps(maps).faults;
}

// The one fault that there is.
std::string FaultOf(const std::string& maps) {
  const auto faults = FaultsOf(maps);
  EXPECT_EQ(faults.size(), 1U) << testing::PrintToString(faults);
  return faults.empty() ? "" : faults.front();
}

constexpr char kLogOut[] =
    "[[out]]\npattern = \"orders/**\"\nstream = \"ORDERS\"\n"
    "subject-prefix = \"edge1\"\n";

TEST(BridgeConfigTest, EachKindOfMapIsRead) {
  const auto read = Parse(
      "origin = \"edge1\"\ndead-topic = \"lost\"\nstatus-topic = \"state/b\"\n"
      "state-interval = \"500ms\"\n"
      "[nats]\nservers = [\"nats://a:1\", \"nats://b:2\"]\n"
      "[[out]]\npattern = \"orders/**\"\nstream = \"ORDERS\"\n"
      "subject-prefix = \"e1\"\ncreate = true\nreplicas = 3\n"
      "stream-bytes = \"1GiB\"\nstream-age = \"7d\"\n"
      "window-messages = 10\nwindow-bytes = \"1MiB\"\n"
      "[[out]]\npattern = \"svc/**\"\nlive = true\nsubject-prefix = \"e1\"\n"
      "[[in]]\nstream = \"PRICES\"\nfilter = \"prices.>\"\n"
      "topic-prefix = \"nats\"\nconsumer = \"c1\"\n"
      "[[in]]\nlive = true\nfilter = \"e2.svc.>\"\nsubject-prefix = \"e2\"\n");
  ASSERT_TRUE(read.faults.empty()) << testing::PrintToString(read.faults);
  const BridgeConfig& config = read.config;
  EXPECT_EQ(config.dead_topic, "lost");
  EXPECT_EQ(config.state_interval, absl::Milliseconds(500));
  EXPECT_EQ(config.nats.servers.size(), 2U);
  ASSERT_EQ(config.maps.size(), 4U);
  const MapConfig& out = config.maps[0];
  EXPECT_EQ(out.kind, MapKind::kLogOut);
  EXPECT_EQ(out.filter, "e1.orders.>");
  EXPECT_EQ(out.durable, "nats-ORDERS");
  EXPECT_EQ(out.replicas, 3U);
  EXPECT_EQ(out.stream_bytes_max, uint64_t{1} << 30);
  EXPECT_EQ(out.stream_age_max, absl::Hours(7 * 24));
  EXPECT_EQ(out.window_messages, 10U);
  EXPECT_EQ(out.window_bytes, size_t{1} << 20);
  EXPECT_EQ(config.maps[1].kind, MapKind::kLiveOut);
  EXPECT_EQ(config.maps[1].filter, "e1.svc.>");
  const MapConfig& in = config.maps[2];
  EXPECT_EQ(in.kind, MapKind::kStreamIn);
  EXPECT_EQ(in.consumer, "c1");
  EXPECT_EQ(in.pattern, "nats/prices/**");
  EXPECT_EQ(config.maps[3].kind, MapKind::kLiveIn);
  EXPECT_EQ(config.maps[3].pattern, "svc/**");
}

TEST(BridgeConfigTest, ThePlanSaysWhatGoesWhereAndHowWell) {
  const auto read =
      ParseMaps(std::string(kLogOut) +
                "[[in]]\nstream = \"S\"\ntopic-prefix = \"nats\"\n");
  ASSERT_TRUE(read.faults.empty()) << testing::PrintToString(read.faults);
  EXPECT_EQ(PlanText(read.config),
            "out: the log of orders/** (reader nats-ORDERS) -> stream ORDERS, "
            "subjects edge1.orders.>: once and in order\n"
            "in: stream S (consumer edge1), subjects > -> topics nats/**: once "
            "and in order, stored\n"
            "set aside: bridge/dead\n");
}

TEST(BridgeConfigTest, MapsOfRetainedValuesAreRead) {
  const auto read = ParseMaps(
      "[[out]]\nretained = true\npattern = \"state/**\"\nstream = \"V1\"\n"
      "subject-prefix = \"e1\"\ncreate = true\nreplicas = 3\n"
      "[[in]]\nretained = true\nstream = \"V2\"\nsubject-prefix = \"e2\"\n");
  ASSERT_TRUE(read.faults.empty()) << testing::PrintToString(read.faults);
  const MapConfig& out = read.config.maps[0];
  EXPECT_EQ(out.kind, MapKind::kRetainedOut);
  EXPECT_EQ(out.filter, "e1.state.>");
  EXPECT_EQ(out.replicas, 3U);
  EXPECT_EQ(out.durable, "");
  const MapConfig& in = read.config.maps[1];
  EXPECT_EQ(in.kind, MapKind::kRetainedIn);
  EXPECT_EQ(in.pattern, "**");
  EXPECT_EQ(PlanText(read.config),
            "out: retained values of state/** -> stream V1, subjects "
            "e1.state.>: the current ones, and each change\n"
            "in: last values of stream V2, subjects > -> retained on topics "
            "**: the current ones, and each change\n"
            "set aside: bridge/dead\n");
}

TEST(BridgeConfigTest, TheStatusTopicIsThatOfTheOriginUnlessItIsNamed) {
  EXPECT_EQ(ParseMaps(kLogOut).config.status_topic, "bridge/status/edge1");
  const auto none =
      Parse("status-topic = \"\"\n" + std::string(kHead) + kLogOut);
  EXPECT_TRUE(none.faults.empty()) << testing::PrintToString(none.faults);
  EXPECT_EQ(none.config.status_topic, "");
}

TEST(BridgeConfigTest, TheDryRunMapsEachNameThatIsThere) {
  const auto read =
      ParseMaps(std::string(kLogOut) +
                "[[out]]\npattern = \"loose/**\"\nstream = \"L\"\n"
                "subject-prefix = \"l\"\n"
                "[[in]]\nstream = \"S\"\ntopic-prefix = \"nats\"\n");
  ASSERT_TRUE(read.faults.empty()) << testing::PrintToString(read.faults);
  BusNames bus;
  bus.topics = {"orders/new", "other"};
  bus.logs = {{"orders", "orders/**"}};
  EXPECT_EQ(OutText(read.config, bus),
            "out orders/**, of the topics that are there now:\n"
            "  orders/new -> edge1.orders.new\n"
            "out loose/**, of the topics that are there now:\n"
            "  no log stores loose/**: the bridge would end; start the broker "
            "with --log 'NAME=loose/**'\n");
  bus.topics.clear();
  EXPECT_NE(OutText(read.config, bus).find("\n  none\n"), std::string::npos);
  for (int i = 0; i < 1003; ++i) {
    bus.topics.push_back("orders/" + std::to_string(i));
  }
  EXPECT_NE(OutText(read.config, bus).find("  and 3 more\n"),
            std::string::npos);
  const MapConfig& in = read.config.maps[2];
  EXPECT_EQ(InText(in, {"", {"a.b", "a.#"}}),
            "in S/edge1, of the subjects that stream S has messages of now:\n"
            "  a.b -> nats/a/b\n"
            "  a.# -> set aside: as a topic it has a character outside "
            "[A-Za-z0-9_.:@-]\n");
  EXPECT_NE(InText(in, {"stream S: stream not found", {}})
                .find("  stream S: stream not found\n"),
            std::string::npos);
}

TEST(BridgeConfigTest, EachMistakeIsOneLineThatNamesTheKey) {
  const std::vector<std::pair<std::string, std::string>> mistakes = {
      {"[[out]]\npattern = \"a/#\"\nstream = \"S\"\n", "b.toml:5: pattern "},
      {"[[out]]\npattern = \"a/**\"\n", "b.toml:4: stream "},
      {"[[out]]\npattern = \"a/**\"\nstream = \"A.B\"\n", "b.toml:6: stream "},
      {"[[out]]\npattern = \"a/**\"\nstream = 7\n", "stream must be a text"},
      {"[[out]]\npattern = \"a/**\"\nstream = \"S\"\nwindow-messages = 0\n",
       "b.toml:7: window-messages must be a number from 1 to 8192"},
      {"[[out]]\npattern = \"a/**\"\nstream = \"S\"\nwindow-bytes = \"x\"\n",
       "b.toml:7: window-bytes "},
      {"[[out]]\npattern = \"a/**\"\nstream = \"S\"\nreplicas = 3\n",
       "create must be true"},
      {"[[out]]\npattern = \"a/**\"\nstream = \"S\"\ntopic-prefix = \"b\"\n",
       "b.toml:7: topic-prefix "},
      {"[[out]]\npattern = \"a/**\"\nlive = true\ndurable = \"d\"\n",
       "b.toml:7: durable is no key of a live [[out]]"},
      {"[[out]]\npattern = \"a/**\"\nlive = \"yes\"\nstream = \"S\"\n",
       "b.toml:6: live must be true or false"},
      {"[[in]]\nstream = \"S\"\nconsumer = \"a b\"\n", "b.toml:6: consumer "},
      {"[[in]]\nstream = \"S\"\nlevel = \"written\"\n", "b.toml:6: level "},
      {"[[out]]\npattern = \"a/**\"\nlive = true\nretained = true\n",
       "b.toml:7: retained needs a stream"},
      {"[[out]]\npattern = \"a/**\"\nstream = \"S\"\nretained = true\n"
       "durable = \"d\"\n",
       "b.toml:8: durable is no key of a retained [[out]]"},
      {"[[in]]\nstream = \"S\"\nretained = true\nlevel = \"stored\"\n",
       "b.toml:7: level is no key of a retained [[in]]"},
      {"[[in]]\nlive = true\n", "b.toml:4: filter is missing"},
      {"[[in]]\nlive = true\nfilter = \">\"\n", "b.toml:6: filter "},
      {"[[in]]\nlive = true\nfilter = \"a..b\"\n", "has an empty token"},
      {"[out]\npattern = \"a\"\n", "b.toml:4: out begins with [[out]]"},
      {"", "[[out]] or [[in]] is missing"},
  };
  for (const auto& [maps, expected] : mistakes) {
    SCOPED_TRACE(maps);
    EXPECT_NE(("b.toml:" + FaultOf(maps)).find(expected), std::string::npos)
        << FaultOf(maps);
  }
}

TEST(BridgeConfigTest, AllMistakesAreToldAtOnce) {
  const auto faults =
      Parse(
          "orgin = \"x\"\n[nats]\nserver = [\"a\"]\n[[out]]\npattern = \"\"\n")
          .faults;
  const std::string all = testing::PrintToString(faults);
  for (const char* key : {"orgin is no key", "origin must name",
                          "servers is missing", "pattern "}) {
    EXPECT_NE(all.find(key), std::string::npos) << key << " in " << all;
  }
}

TEST(BridgeConfigTest, WhatIsNoTomlIsToldWithItsLine) {
  const auto faults = Parse("origin = \n").faults;
  ASSERT_EQ(faults.size(), 1U);
  EXPECT_EQ(faults[0].substr(0, 9), "b.toml:1:");
  EXPECT_EQ(ReadBridgeConfigFile("/nonexistent/b.toml").faults.size(), 1U);
}

TEST(BridgeConfigTest, SecretsStandInFilesThatOthersCannotRead) {
  const TempDir folder;
  const std::string secret = folder.path() + "/secret";
  std::ofstream(secret) << "hunter2\n";
  const auto faults = [&](const std::string& servers) {
    return Parse(fmt::format("origin = \"e\"\n[nats]\nservers = [\"{}\"]\n"
                             "token-file = \"{}\"\n{}",
                             servers, secret, kLogOut))
        .faults;
  };
  ASSERT_EQ(chmod(secret.c_str(), 0600), 0);
  EXPECT_TRUE(faults("nats://a:1").empty());
  ASSERT_EQ(faults("nats://me:hunter2@a:1").size(), 1U);
  EXPECT_NE(faults("nats://me:hunter2@a:1")[0].find("secret"),
            std::string::npos);
  ASSERT_EQ(chmod(secret.c_str(), 0644), 0);
  ASSERT_EQ(faults("nats://a:1").size(), 1U);
  EXPECT_NE(faults("nats://a:1")[0].find("chmod 600"), std::string::npos);
  ASSERT_EQ(remove(secret.c_str()), 0);
  EXPECT_NE(faults("nats://a:1")[0].find("cannot be read"), std::string::npos);
}

TEST(BridgeConfigTest, FilesAreFoundBesideTheConfiguration) {
  const TempDir folder;
  std::ofstream(folder.path() + "/ca.pem") << "x\n";
  const auto read = ParseBridgeConfig(
      std::string("origin = \"e\"\n[nats]\nservers = [\"tls://a:1\"]\n"
                  "tls-ca-file = \"ca.pem\"\n") +
          kLogOut,
      folder.path() + "/b.toml");
  EXPECT_TRUE(read.faults.empty()) << testing::PrintToString(read.faults);
  EXPECT_TRUE(read.config.nats.tls);
  EXPECT_EQ(read.config.nats.tls_ca_file, folder.path() + "/ca.pem");
}

TEST(BridgeConfigTest, KeysThatNeedEachOtherAreToldSo) {
  const auto fault = [](const std::string& nats) {
    const auto faults =
        Parse("origin = \"e\"\n[nats]\nservers = [\"nats://a:1\"]\n" + nats +
              kLogOut)
            .faults;
    return faults.empty() ? "" : faults.front();
  };
  EXPECT_NE(fault("user = \"me\"\n").find("password-file"), std::string::npos);
  EXPECT_NE(fault("nkey = \"UX\"\n").find("nkey-file"), std::string::npos);
  EXPECT_NE(fault("tls-host = \"h\"\n").find("tls must be true"),
            std::string::npos);
}

TEST(BridgeConfigTest, MapsThatWouldLoopAreRefused) {
  // What comes from edge1.orders.> would go there again.
  EXPECT_NE(FaultOf(std::string(kLogOut) +
                    "[[in]]\nstream = \"ORDERS\"\nsubject-prefix = \"edge1\"\n")
                .find("loop with line 4"),
            std::string::npos);
  EXPECT_NE(FaultOf("[[out]]\nlive = true\npattern = \"chat/**\"\n"
                    "[[in]]\nlive = true\nfilter = \"chat.*\"\n")
                .find("loop with line 4"),
            std::string::npos);
  // Another part of NATS, or other topics.
  EXPECT_TRUE(FaultsOf(std::string(kLogOut) +
                       "[[in]]\nstream = \"E2\"\nsubject-prefix = \"edge2\"\n")
                  .empty());
  EXPECT_TRUE(FaultsOf(std::string(kLogOut) +
                       "[[in]]\nstream = \"ORDERS\"\ntopic-prefix = \"back\"\n")
                  .empty());
}

TEST(BridgeConfigTest, MapsDoNotShareWhatOnlyOneMayHave) {
  const std::string out = "[[out]]\npattern = \"b/**\"\nstream = ";
  EXPECT_NE(
      FaultOf(std::string(kLogOut) + out + "\"ORDERS\"\ndurable = \"other\"\n")
          .find("stream \"ORDERS\" is written by line 4"),
      std::string::npos);
  EXPECT_NE(
      FaultOf(std::string(kLogOut) + out + "\"S\"\ndurable = \"nats-ORDERS\"\n")
          .find("durable "),
      std::string::npos);
  const std::string in = "[[in]]\nstream = \"S\"\ntopic-prefix = ";
  EXPECT_NE(FaultOf(in + "\"a\"\n" + in + "\"b\"\n").find("consumer "),
            std::string::npos);
  EXPECT_TRUE(FaultsOf(std::string(kLogOut) + "shared = true\n" + out +
                       "\"ORDERS\"\ndurable = \"other\"\nshared = true\n")
                  .empty());
}

}  // namespace
}  // namespace fifobus::bridge
