#include "broker/core/sessions/log_stats.h"

#include <memory>
#include <string>

#include "broker/bus/log_set.h"
#include "gtest/gtest.h"
#include "tests/support/log_storing.h"
#include "tests/support/pipe_support.h"

namespace fifobus {
namespace {

class LogStatsTest : public testing::Test {
 protected:
  void SetUp() override {
    options_.state_dir = dir_.path();
    LogRule rule;
    rule.name = "orders";
    rule.pattern = "orders/**";
    ASSERT_TRUE(set_.SetRules({rule}).ok());
    log_ = set_.table().Find("orders");
  }

  void Store(const std::string& body, uint64_t now_unix_nanos) {
    StoreAndWait(*log_, body, now_unix_nanos);
  }

  pb::StatsReply::Log Stats() const {
    pb::StatsReply reply;
    AppendLogStats(set_.table(), reply);
    EXPECT_EQ(reply.logs_size(), 1);
    return reply.logs(0);
  }

  const TempDir dir_;
  BrokerOptions options_;
  LogSet set_{options_, 1, [](auto&&...) {}};
  std::shared_ptr<ServedLog> log_;
};

TEST_F(LogStatsTest, AnEmptyLogHasItsNamesAndNothingElse) {
  const pb::StatsReply::Log stats = Stats();
  EXPECT_EQ(stats.name(), "orders");
  EXPECT_EQ(stats.pattern(), "orders/**");
  EXPECT_EQ(stats.first_offset(), 1u);
  EXPECT_EQ(stats.next_offset(), 1u);
  EXPECT_EQ(stats.committed_offset(), 0u);
  EXPECT_EQ(stats.first_time_unix_nanos(), 0u);
  EXPECT_EQ(stats.trouble(), "");
  EXPECT_EQ(stats.readers_size(), 0);
}

TEST_F(LogStatsTest, OffsetsTimesAndBytesAreTheLogs) {
  Store("first", 1000);
  Store("second", 2000);
  const pb::StatsReply::Log stats = Stats();
  EXPECT_EQ(stats.first_offset(), 1u);
  EXPECT_EQ(stats.next_offset(), 3u);
  EXPECT_EQ(stats.committed_offset(), 2u);
  EXPECT_EQ(stats.first_time_unix_nanos(), 1000u);
  EXPECT_EQ(stats.segments(), 1u);
  EXPECT_GT(stats.bytes(), 4096u);
  EXPECT_EQ(stats.holds_up(), 0u);
}

TEST_F(LogStatsTest, AReaderHasItsLagAndItsSessions) {
  for (int i = 0; i < 5; ++i) Store("message", 1000);
  const auto opened = log_->readers().Open("billing", "orders/new", "", 2);
  ASSERT_EQ(opened.outcome, ReaderTable::OpenOutcome::kOpened);
  opened.reader->Settle(4);
  const uint64_t use = opened.reader->Take({.session = 7});
  pb::StatsReply::Log stats = Stats();
  ASSERT_EQ(stats.readers_size(), 1);
  const pb::StatsReply::Reader& reader = stats.readers(0);
  EXPECT_EQ(reader.name(), "billing");
  EXPECT_EQ(reader.pattern(), "orders/new");
  EXPECT_EQ(reader.position(), 2u);
  EXPECT_EQ(reader.done_above(), 1u);
  EXPECT_EQ(reader.lag(), 3u) << "2, 3 and 5";
  ASSERT_EQ(reader.sessions_size(), 1);
  EXPECT_EQ(reader.sessions(0), 7u);
  EXPECT_FALSE(reader.tap());
  opened.reader->Leave(use);
  EXPECT_EQ(Stats().readers(0).sessions_size(), 0);
}

}  // namespace
}  // namespace fifobus
