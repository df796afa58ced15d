#include "clients/cli/inspect/log_text.h"

#include <string>

#include "clients/cli/inspect/metric_families.h"
#include "clients/cli/inspect/stats_json.h"
#include "clients/cli/inspect/top_model.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "prometheus/text_serializer.h"

namespace fifobus::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

// Two seconds of a bus with two logs, one with two readers.
BusView TwoLogs() {
  BusView view;
  view.seconds = 2;
  pb::StatsReply::Log& orders = *view.now.add_logs();
  orders.set_name("orders");
  orders.set_pattern("orders/**");
  orders.set_first_offset(101);
  orders.set_next_offset(20001);
  orders.set_committed_offset(20000);
  orders.set_bytes(5'300'000);
  orders.set_segments(2);
  orders.set_appended(5000);
  orders.set_duplicates(3);
  pb::StatsReply::Reader& billing = *orders.add_readers();
  billing.set_name("billing");
  billing.set_pattern("orders/**");
  billing.set_position(7570);
  billing.set_lag(12431);
  pb::StatsReply::Reader& audit = *orders.add_readers();
  audit.set_name("audit");
  audit.set_pattern("orders/paid");
  audit.set_position(20001);
  audit.add_sessions(7);
  pb::StatsReply::Log& all = *view.now.add_logs();
  all.set_name("all");
  all.set_pattern("**");
  all.set_first_offset(1);
  all.set_next_offset(1);
  view.before = view.now;
  view.before.mutable_logs(0)->set_appended(4000);
  view.before.mutable_logs(0)->mutable_readers(0)->set_position(7370);
  return view;
}

TEST(LogTextTest, ATopicBelongsToTheFirstLogThatMatches) {
  const BusView view = TwoLogs();
  EXPECT_EQ(LogOf(view.now, "orders/new")->name(), "orders");
  EXPECT_EQ(LogOf(view.now, "lamps")->name(), "all");
  EXPECT_EQ(LogOf(view.now, "_inbox/1"), nullptr);
  EXPECT_EQ(LogOf(pb::StatsReply(), "lamps"), nullptr);
}

TEST(LogTextTest, TheTablesHaveLogsAndReadersWithTheirLag) {
  EXPECT_EQ(LogTables(pb::StatsReply()), "");
  const std::string text = LogTables(TwoLogs().now);
  EXPECT_THAT(text, HasSubstr("orders                        19900      20001"
                              "      5300000         0        0"));
  EXPECT_THAT(text, HasSubstr("billing                  orders               "
                              "     12431       7570       0        0 unread  "
                              "       orders/**\n"));
  EXPECT_THAT(text, HasSubstr("audit                    orders               "
                              "         0      20001       0        1"));
}

TEST(LogTextTest, LinesTellTheRatesOfTheInterval) {
  const BusView view = TwoLogs();
  const std::string text = LogLines(view, view.now.logs(0));
  EXPECT_THAT(text, HasSubstr("log orders of orders/**\n"));
  EXPECT_THAT(text, HasSubstr("19,900 messages, offset 101 to 20000\n"));
  EXPECT_THAT(text, HasSubstr("5,000 messages since the broker's start; now "
                              "500.0/s\n"));
  EXPECT_THAT(text, HasSubstr("state        well\n"));
  EXPECT_THAT(text, HasSubstr("billing: 12,431 messages behind, at offset 7570,"
                              " now 100.0/s; read by no session\n"));
  EXPECT_THAT(text, HasSubstr("audit: 0 messages behind, at offset 20001, now "
                              "0.0/s; read by session 7"));
  EXPECT_THAT(LogLines(view, view.now.logs(1)),
              HasSubstr("0 messages, the next is offset 1\n"));
}

TEST(LogTextTest, SentencesNameTheReadersOfTheTopicThatAreBehind) {
  BusView view = TwoLogs();
  const std::string text = LogSentences(view, "orders/new");
  EXPECT_EQ(
      text,
      "The log orders stores it: 19,900 messages of orders/**, offset 101 "
      "to 20000.\n"
      "- The durable reader billing is 12,431 messages behind.\n"
      "  No session reads for it now.\n");
  EXPECT_THAT(LogSentences(view, "orders/paid"),
              HasSubstr("- The durable reader audit has read everything.\n"));
  pb::StatsReply::Log& orders = *view.now.mutable_logs(0);
  orders.set_trouble("the disk is full: make room");
  orders.set_holds_up(2);
  orders.set_backlog_bytes(8'000'000);
  orders.mutable_readers(0)->set_group("workers");
  orders.mutable_readers(0)->set_unacked(3);
  orders.mutable_readers(0)->set_dead_lettered(1);
  EXPECT_EQ(
      LogSentences(view, "orders/new"),
      "The log orders stores it: 19,900 messages of orders/**, offset 101 "
      "to 20000.\n"
      "It stores nothing now: the disk is full: make room.\n"
      "2 publishers wait until it has room; 8.0 MB are not on disk yet.\n"
      "- The durable reader billing is 12,431 messages behind.\n"
      "  No session reads for it now.\n"
      "  Its members have not answered 3 messages yet.\n"
      "  1 message were given up, and published on $dead/workers.\n");
  view.now.clear_logs();
  EXPECT_EQ(LogSentences(view, "orders/new"), "");
}

TEST(LogTextTest, TopShowsEachLogAndItsReaders) {
  BusView view = TwoLogs();
  view.now.mutable_logs(1)->set_trouble("the disk is full");
  const TopTable table = MakeTopTable(TopPane::kLogs, view, {0, false, ""});
  ASSERT_EQ(table.rows.size(), 4u);
  EXPECT_EQ(table.rows[0].cells[0].text, "all");
  EXPECT_TRUE(table.rows[0].alarm);
  EXPECT_EQ(table.rows[0].cells[1].text, "stores nothing");
  EXPECT_EQ(table.rows[1].cells[0].text, "orders");
  EXPECT_EQ(table.rows[1].cells[3].text, "500");
  EXPECT_EQ(table.rows[3].cells[0].text, "orders billing");
  EXPECT_EQ(table.rows[3].cells[2].text, "12431");
  EXPECT_EQ(table.rows[3].cells[3].text, "100");
  for (const TopRow& row : table.rows) {
    EXPECT_EQ(row.cells.size(), table.columns.size());
  }
  const TopTable by_lag = MakeTopTable(TopPane::kLogs, view, {2, false, ""});
  EXPECT_EQ(by_lag.rows[0].cells[0].text, "orders billing");
  EXPECT_THAT(TopSummary(view), HasSubstr("1 in trouble"));
}

TEST(LogTextTest, MetricsHaveLogsAndReaders) {
  BusView view = TwoLogs();
  const std::string text =
      prometheus::TextSerializer().Serialize(MetricFamilies(view.now));
  for (const char* line :
       {"fifobus_log_first_offset{log=\"orders\"} 101\n",
        "fifobus_log_next_offset{log=\"orders\"} 20001\n",
        "fifobus_log_committed_offset{log=\"orders\"} 20000\n",
        "fifobus_log_bytes{log=\"orders\"} 5300000\n",
        "fifobus_log_in_trouble{log=\"orders\"} 0\n",
        "fifobus_log_appended_messages_total{log=\"orders\"} 5000\n",
        "fifobus_log_duplicate_messages_total{log=\"orders\"} 3\n",
        "fifobus_log_reader_lag{log=\"orders\",reader=\"billing\"} 12431\n",
        "fifobus_log_reader_position{log=\"orders\",reader=\"billing\"} 7570\n",
        "fifobus_log_reader_sessions{log=\"orders\",reader=\"audit\"} 1\n"}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
}

TEST(LogTextTest, JsonHasTheReadersInTheirLog) {
  const std::string json = StatsJson(TwoLogs().now);
  EXPECT_THAT(json, HasSubstr("\"logs\":[{\"name\":\"orders\""));
  EXPECT_THAT(json, HasSubstr("\"lag\":12431"));
  EXPECT_THAT(json, HasSubstr("\"sessions\":[7]"));
  EXPECT_THAT(json, Not(HasSubstr("null")));
}

}  // namespace
}  // namespace fifobus::cli
