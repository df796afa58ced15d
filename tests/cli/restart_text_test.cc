#include "clients/cli/inspect/restart_text.h"

#include <cstdint>
#include <string>

#include "clients/cli/inspect/metric_families.h"
#include "clients/cli/inspect/stats_json.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "prometheus/text_serializer.h"

namespace fifobus::cli {
namespace {

using testing::HasSubstr;

pb::StatsReply With(uint64_t deaths, uint64_t upgrades, uint64_t resent) {
  pb::StatsReply stats;
  const auto add = [&](const char* name, uint64_t value) {
    pb::StatsReply::Counter& counter = *stats.add_counters();
    counter.set_name(name);
    counter.set_value(value);
  };
  add("broker_restarts", deaths);
  add("broker_upgrades", upgrades);
  add("messages_resent", resent);
  return stats;
}

TEST(RestartTextTest, TheTableHasAllThree) {
  EXPECT_EQ(RestartTable(With(2, 3, 41)),
            "\nRESTARTS UPGRADES       RESENT\n"
            "       2        3           41\n");
}

TEST(RestartTextTest, AnOlderBrokerCountsNothing) {
  EXPECT_EQ(RestartTable(pb::StatsReply()), RestartTable(With(0, 0, 0)));
  EXPECT_EQ(RestartSentences(pb::StatsReply()), "");
}

TEST(RestartTextTest, ASentenceTellsOfEachThatHappened) {
  EXPECT_EQ(RestartSentences(With(0, 0, 0)), "");
  EXPECT_THAT(RestartSentences(With(1, 0, 0)), HasSubstr("has died once; "));
  EXPECT_THAT(RestartSentences(With(2, 0, 0)), HasSubstr("died 2 times; "));
  EXPECT_THAT(RestartSentences(With(0, 1, 0)), HasSubstr("upgraded once, "));
  EXPECT_THAT(RestartSentences(With(0, 0, 41)),
              HasSubstr("published 41 messages again"));
}

TEST(RestartTextTest, MetricsAndJsonHaveThemToo) {
  const std::string metrics =
      prometheus::TextSerializer().Serialize(MetricFamilies(With(2, 3, 41)));
  EXPECT_THAT(metrics, HasSubstr("broker_restarts_total 2"));
  EXPECT_THAT(metrics, HasSubstr("broker_upgrades_total 3"));
  EXPECT_THAT(metrics, HasSubstr("messages_resent_total 41"));
  const std::string json = StatsJson(With(2, 3, 41));
  EXPECT_THAT(json, HasSubstr("\"broker_restarts\":2"));
  EXPECT_THAT(json, HasSubstr("\"messages_resent\":41"));
}

}  // namespace
}  // namespace fifobus::cli
