// One log as the broker serves it, on a simulated disk, and the table of logs.

#include "broker/core/logs/served_log.h"

#include <memory>
#include <string>
#include <utility>

#include "broker/base/log.h"
#include "broker/core/logs/log_format.h"
#include "broker/core/logs/log_table.h"
#include "broker/core/logs/segment.h"
#include "gtest/gtest.h"
#include "tests/support/core_fakes.h"
#include "tests/support/posted_tasks.h"
#include "tests/support/simulated_disk.h"

namespace fifobus {
namespace {

class CountingWaiter : public LogWaiter {
 public:
  void OnLogProgress() override { ++told; }
  int told = 0;
};

class ServedLogTest : public testing::Test {
 protected:
  ServedLogTest() {
    StartLog(LogLevel::kOff);
    options_.log_cover_delay = absl::InfiniteDuration();
    options_.log_full_retry = absl::InfiniteDuration();
  }

  absl::StatusOr<std::shared_ptr<ServedLog>> TryOpen(
      const std::string& name = "orders", SimulatedMachine* machine = nullptr) {
    LogRule rule;
    rule.name = name;
    rule.pattern = "**";
    return ServedLog::Open(
        (machine == nullptr ? machine_ : *machine).Mount(), rule, options_,
        /*workers=*/1,
        [this](size_t, absl::Duration, std::function<void()> task) {
          tasks_.Post(std::move(task));
        });
  }
  std::shared_ptr<ServedLog> Open() {
    auto log = TryOpen();
    EXPECT_TRUE(log.ok()) << log.status();
    return log.ok() ? *log : nullptr;
  }

  static AppendResult Append(ServedLog& log, size_t bytes) {
    LogAppend append;
    append.count = 1;
    append.body_bytes = static_cast<uint32_t>(bytes);
    return log.log().Append(append,
                            [&](const DurableLog::Placement&, char* body) {
                              std::string(bytes, 'x').copy(body, bytes);
                            });
  }

  void ExpectRefused(const std::string& what, const std::string& to_do) {
    const absl::Status status = TryOpen().status();
    const std::string text(status.message());
    EXPECT_TRUE(text.starts_with("log \"orders\": ")) << text;
    EXPECT_NE(text.find(what), std::string::npos) << text;
    EXPECT_NE(text.find(to_do), std::string::npos) << text;
    EXPECT_EQ(text.find('\n'), std::string::npos) << text;
  }

  // The header of the only segment, with another version.
  void MakeNewer() {
    const auto files = machine_.files();
    for (const auto& [name, bytes] : files) {
      if (!name.ends_with(".seg")) continue;
      std::string newer = bytes;
      newer[8] = 2;
      const uint64_t seed = DecodeSegmentHeader(bytes).header.log_id.seed();
      const uint64_t hash = LogHash(newer.substr(0, 4088), seed);
      newer.replace(4088, 8, reinterpret_cast<const char*>(&hash), 8);
      machine_.Put(name, newer);
    }
  }

  BrokerOptions options_;
  SimulatedMachine machine_{1};
  PostedTasks tasks_;
};

TEST_F(ServedLogTest, ACommitTellsThoseThatWait) {
  const auto log = Open();
  CountingWaiter waiter;
  log->watch(0).Add(waiter);
  ASSERT_EQ(Append(*log, 100).outcome, AppendOutcome::kAppended);
  tasks_.RunUntil([&] { return log->committed_offset() == 1; });
  EXPECT_GE(log->written_offset(), 1u);
  log->Close();
  tasks_.RunAll();
  EXPECT_GE(waiter.told, 1);
  log->watch(0).Remove(waiter);
}

TEST_F(ServedLogTest, AValveIsHeldOnceAndResumedWhenThereIsRoom) {
  options_.log_backlog_bytes_max = 1000;
  const auto log = Open();
  CountingWaiter waiter;
  log->watch(0).Add(waiter);
  machine_.capacity_bytes = machine_.used_bytes();
  EXPECT_TRUE(Append(*log, 2000).full);
  const auto valve = std::make_shared<FakeValve>();
  const auto other = std::make_shared<FakeValve>();
  log->HoldBack(valve);
  log->HoldBack(valve);
  log->HoldBack(other);
  EXPECT_EQ(valve->pauses, 1);
  EXPECT_EQ(other->pauses, 1);
  EXPECT_EQ(log->held_back(), 2u);
  tasks_.RunUntil([&] { return !log->trouble().empty(); });
  EXPECT_FALSE(log->failed());
  machine_.capacity_bytes = UINT64_MAX;
  log->Close();
  EXPECT_EQ(valve->pauses, 0);
  EXPECT_EQ(other->pauses, 0);
  EXPECT_EQ(log->held_back(), 0u);
  EXPECT_EQ(log->trouble(), "");
  tasks_.RunAll();
  log->watch(0).Remove(waiter);
}

TEST_F(ServedLogTest, AValveIsNotHeldWhereThereIsRoom) {
  const auto log = Open();
  const auto valve = std::make_shared<FakeValve>();
  log->HoldBack(valve);
  EXPECT_EQ(valve->pauses, 0);
  EXPECT_EQ(log->held_back(), 0u);
}

TEST_F(ServedLogTest, ALogThatHasFailedHoldsNobody) {
  options_.log_backlog_bytes_max = 1000;
  const auto log = Open();
  CountingWaiter waiter;
  log->watch(0).Add(waiter);
  machine_.failing_syncs = 1000;
  const AppendResult appended = Append(*log, 2000);
  const auto valve = std::make_shared<FakeValve>();
  if (appended.full) log->HoldBack(valve);
  tasks_.RunUntil([&] { return log->failed(); });
  log->Close();
  EXPECT_EQ(valve->pauses, 0);
  EXPECT_NE(log->trouble().find("Input/output error"), std::string::npos)
      << log->trouble();
  EXPECT_EQ(Append(*log, 10).outcome, AppendOutcome::kFailed);
  tasks_.RunAll();
  log->watch(0).Remove(waiter);
}

TEST_F(ServedLogTest, WhatCannotBeOpenedSaysWhatToDo) {
  {
    const auto log = Open();
    ASSERT_EQ(Append(*log, 100).outcome, AppendOutcome::kAppended);
  }
  machine_.Kill();
  // Another broker, without a thread that uses the simulated disk meanwhile.
  const auto other = machine_.Mount();
  ASSERT_TRUE(other->Lock().ok());
  ExpectRefused("another broker", "stop that one first");
  machine_.Kill();
  MakeNewer();
  ExpectRefused("newer", "start that version");
  machine_.Kill();
  for (const auto& [name, bytes] : machine_.files()) machine_.Forget(name);
  SegmentHeader one;
  one.log_id.bytes.fill('x');
  machine_.Put(SegmentFile({1, 0}), EncodeSegmentHeader(one));
  SegmentHeader two;
  two.log_id.bytes.fill('y');
  two.base_offset = 9;
  machine_.Put(SegmentFile({9, 0}), EncodeSegmentHeader(two));
  ExpectRefused("", "move it away");
}

TEST_F(ServedLogTest, ATopicBelongsToTheFirstLogThatMatchesIt) {
  SimulatedMachine second(2);
  const auto orders = Open();
  const std::shared_ptr<ServedLog> all = *TryOpen("all", &second);
  const LogTable table({{"orders/**", orders}, {"**", all}});
  EXPECT_EQ(table.LogOf("orders/a"), orders);
  EXPECT_EQ(table.LogOf("a"), all);
  EXPECT_EQ(table.LogOf("_inbox/a"), nullptr);
  EXPECT_EQ(table.LogOf("$dead/a"), nullptr);
  EXPECT_EQ(LogTable({{"$dead/**", all}}).LogOf("$dead/a"), all);
  EXPECT_EQ(table.Find("all"), all);
  EXPECT_EQ(table.Find("none"), nullptr);
  EXPECT_EQ(table.Text(), "orders (orders/**), all (**)");
  EXPECT_EQ(LogTable().Text(), "none");
}

TEST_F(ServedLogTest, APatternIsReadFromTheOneLogThatCoversIt) {
  SimulatedMachine second(2);
  const auto orders = Open();
  const std::shared_ptr<ServedLog> all = *TryOpen("all", &second);
  const LogTable table({{"orders/**", orders}, {"**", all}});
  EXPECT_EQ(table.LogServing("orders/**").log, orders);
  EXPECT_TRUE(table.LogServing("orders/**").whole);
  EXPECT_EQ(table.LogServing("orders/*").log, orders);
  EXPECT_FALSE(table.LogServing("orders/*").whole);
  EXPECT_EQ(table.LogServing("other").log, all);
  EXPECT_EQ(table.LogServing("**").log, nullptr) << "some are in the first";
  EXPECT_EQ(table.LogServing("*/a").log, nullptr);
}

}  // namespace
}  // namespace fifobus
