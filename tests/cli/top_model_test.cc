#include "clients/cli/inspect/top_model.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace fifobus::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

void AddTopic(pb::StatsReply& stats, const std::string& name, uint64_t messages,
              uint64_t bytes) {
  pb::StatsReply::Topic& topic = *stats.add_topics();
  topic.set_name(name);
  topic.set_messages(messages);
  topic.set_bytes(bytes);
}

pb::StatsReply::Session& AddSession(pb::StatsReply& stats, uint64_t number,
                                    const std::string& name, uint32_t pid) {
  pb::StatsReply::Session& session = *stats.add_sessions();
  session.set_number(number);
  session.set_client_name(name);
  session.set_pid(pid);
  return session;
}

size_t ColumnOf(const TopTable& table, const std::string& title) {
  for (size_t i = 0; i < table.columns.size(); ++i) {
    if (table.columns[i].title == title) return i;
  }
  ADD_FAILURE() << "no column " << title;
  return 0;
}

std::string Cell(const TopTable& table, size_t row, const std::string& title) {
  return table.rows.at(row).cells.at(ColumnOf(table, title)).text;
}

std::vector<std::string> Names(const TopTable& table) {
  std::vector<std::string> names;
  for (const TopRow& row : table.rows) names.push_back(row.cells[0].text);
  return names;
}

// Two seconds of a bus with three topics, of which one is new.
BusView ThreeTopics() {
  BusView view;
  view.seconds = 2;
  AddTopic(view.before, "fast", 1000, 64000);
  AddTopic(view.before, "slow", 5000, 5000);
  AddTopic(view.now, "slow", 5002, 5002);
  AddTopic(view.now, "new", 20, 20);
  AddTopic(view.now, "fast", 2000, 128000);
  return view;
}

TEST(TopModelTest, RatesAreWhatHasGrownInASecond) {
  const BusView view = ThreeTopics();
  const TopTable table = MakeTopTable(TopPane::kTopics, view, {1, false, ""});
  EXPECT_THAT(Names(table), ElementsAre("fast", "new", "slow"));
  EXPECT_EQ(Cell(table, 0, "MSGS/S"), "500");
  EXPECT_EQ(Cell(table, 0, "BYTES/S"), "32000");
  EXPECT_EQ(Cell(table, 1, "MSGS/S"), "10");
  EXPECT_EQ(Cell(table, 2, "MESSAGES"), "5002");
  EXPECT_THAT(TopSummary(view), HasSubstr("511 msgs/s"));
}

TEST(TopModelTest, ABrokerThatStartedAgainHasNoNegativeRates) {
  BusView view = ThreeTopics();
  std::swap(view.before, view.now);
  const TopTable table = MakeTopTable(TopPane::kTopics, view, {1, false, ""});
  for (size_t row = 0; row < table.rows.size(); ++row) {
    EXPECT_EQ(Cell(table, row, "MSGS/S"), "0");
  }
  EXPECT_THAT(TopSummary(view), HasSubstr("0 msgs/s"));
}

TEST(TopModelTest, TheFirstAnswerHasNoRates) {
  BusView view = ThreeTopics();
  view.before.Clear();
  view.seconds = 0;
  const TopTable table = MakeTopTable(TopPane::kTopics, view, {1, false, ""});
  EXPECT_EQ(Cell(table, 0, "MSGS/S"), "0");
}

TEST(TopModelTest, SortsTextFromAOnAndNumbersFromTheLargestOn) {
  const BusView view = ThreeTopics();
  const auto names = [&](TopChoice choice) {
    return Names(MakeTopTable(TopPane::kTopics, view, choice));
  };
  EXPECT_THAT(names({0, false, ""}), ElementsAre("fast", "new", "slow"));
  EXPECT_THAT(names({0, true, ""}), ElementsAre("slow", "new", "fast"));
  EXPECT_THAT(names({5, false, ""}), ElementsAre("slow", "fast", "new"));
  EXPECT_THAT(names({99, false, ""}), ElementsAre("slow", "fast", "new"))
      << "a column there is none of is the last";
}

TEST(TopModelTest, AFilterLooksAtTextsAndPidsButNotAtCounts) {
  BusView view = ThreeTopics();
  AddSession(view.now, 1, "thermometer", 4711);
  AddSession(view.now, 2, "logger", 99).set_published(4711);
  EXPECT_THAT(Names(MakeTopTable(TopPane::kTopics, view, {0, false, "ow"})),
              ElementsAre("slow"));
  EXPECT_THAT(Names(MakeTopTable(TopPane::kTopics, view, {0, false, "500"})),
              ElementsAre());
  EXPECT_THAT(Names(MakeTopTable(TopPane::kClients, view, {0, false, "4711"})),
              ElementsAre("1 thermometer"));
  EXPECT_THAT(Names(MakeTopTable(TopPane::kClients, view, {0, false, "drop"})),
              ElementsAre("1 thermometer", "2 logger"))
      << "the overflow policy is text as well";
}

TEST(TopModelTest, WhoIsInTroubleIsMarkedAndCounted) {
  BusView view;
  view.seconds = 1;
  AddSession(view.now, 1, "well", 10);
  AddSession(view.now, 2, "late", 11).mutable_queue()->set_stuck_millis(999);
  AddSession(view.now, 3, "stuck", 12).mutable_queue()->set_stuck_millis(1000);
  pb::StatsReply::Tap& tap = *view.now.add_taps();
  tap.set_name("t.out/a");
  tap.mutable_queue()->set_stalled(true);
  const TopTable table = MakeTopTable(TopPane::kClients, view, {0, false, ""});
  ASSERT_THAT(Names(table),
              ElementsAre("1 well", "2 late", "3 stuck", "tap t.out/a"));
  std::vector<bool> alarms;
  for (const TopRow& row : table.rows) alarms.push_back(row.alarm);
  EXPECT_THAT(alarms, ElementsAre(false, false, true, true));
  EXPECT_EQ(Cell(table, 2, "STATE"), "stuck 1s");
  EXPECT_EQ(Cell(table, 3, "STATE"), "stalled");
  EXPECT_EQ(Cell(table, 3, "PID"), "-");
  EXPECT_THAT(TopSummary(view), HasSubstr("2 in trouble"));
}

TEST(TopModelTest, LossesAreOfTheSameSession) {
  BusView view;
  view.seconds = 1;
  AddSession(view.before, 1, "a", 10).mutable_queue()->set_dropped(100);
  AddSession(view.before, 2, "b", 11).mutable_queue()->set_dropped(7);
  AddSession(view.now, 2, "b", 11).mutable_queue()->set_dropped(10);
  const TopTable table = MakeTopTable(TopPane::kClients, view, {0, false, ""});
  EXPECT_EQ(Cell(table, 0, "LOST/S"), "3");
  EXPECT_EQ(Cell(table, 0, "LOST"), "10");
}

TEST(TopModelTest, ALineIsAsWideAsTheScreenAndLeavesOutWhatHasNoRoom) {
  const std::vector<TopColumn> columns = {
      {"NAME", 12, true}, {"A", 5}, {"B", 5}};
  const std::vector<std::string> cells = {"a-name-that-is-longer", "1", "22"};
  EXPECT_EQ(TopLine(columns, cells, 40),
            "a-name-that-is-longer            1    22");
  EXPECT_EQ(TopLine(columns, cells, 24), "a-name-that-     1    22");
  EXPECT_EQ(TopLine(columns, cells, 23), "a-name-that-is-lo     1");
  EXPECT_EQ(TopLine(columns, cells, 12), "a-name-that-");
  EXPECT_EQ(TopLine(columns, cells, 5), "a-nam");
}

}  // namespace
}  // namespace fifobus::cli
