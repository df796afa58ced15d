#include "broker/core/readers/log_cursor.h"

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/support/log_cursor_fixture.h"

namespace fifobus {
namespace {

using LogCursorTest = LogCursorFixture;

struct Waiter : LogWaiter {
  explicit Waiter(int& count) : wakes(count) {}
  void OnLogProgress() override { ++wakes; }
  int& wakes;
};

TEST_F(LogCursorTest, ReadsWhatIsCommittedAndThenWhatComes) {
  Open();
  Store({{"orders/new", "a"}, {"orders/old", "b"}});
  Read({"", 1});
  EXPECT_EQ(cursor_->Go(), LogTurn::kEnd);
  EXPECT_EQ(Offsets(), (std::vector<uint64_t>{1, 2}));
  EXPECT_EQ(target_.messages[2], (TestMessage{"orders/old", "b"}));
  StoreOne("orders/new", "c");
  EXPECT_EQ(cursor_->Go(), LogTurn::kEnd);
  EXPECT_EQ(target_.messages[3].payload, "c");
  EXPECT_EQ(cursor_->position(), 4u);
  EXPECT_EQ(cursor_->last_taken(), 3u);
}

TEST_F(LogCursorTest, BeginsInTheMiddleOfABatchAndEndsInOne) {
  Open();
  Store({{"orders/a", "1"}, {"orders/a", "2"}, {"orders/a", "3"}});
  Store({{"orders/a", "4"}, {"orders/a", "5"}, {"orders/a", "6"}});
  Read({"", 2, 6});
  EXPECT_EQ(cursor_->Go(), LogTurn::kReached);
  EXPECT_EQ(Offsets(), (std::vector<uint64_t>{2, 3, 4, 5}));
  cursor_->SetUntil(UINT64_MAX);
  EXPECT_EQ(cursor_->Go(), LogTurn::kEnd);
  EXPECT_EQ(target_.messages[6].payload, "6");
}

TEST_F(LogCursorTest, APatternGetsItsMessagesAndPassesOverTheOthers) {
  Open();
  Store({{"orders/a", "1"},
         {"orders/b", "2"},
         {"orders/a", "3"},
         {"orders/a", "4"},
         {"orders/b", "5"}});
  Read({"orders/a", 1});
  EXPECT_EQ(cursor_->Go(), LogTurn::kEnd);
  EXPECT_EQ(Offsets(), (std::vector<uint64_t>{1, 3, 4}));
  EXPECT_EQ(cursor_->position(), 6u);
  EXPECT_EQ(cursor_->last_taken(), 4u);
}

TEST_F(LogCursorTest, WhatIsDoneIsPassedOver) {
  Open();
  Store({{"orders/a", "1"},
         {"orders/a", "2"},
         {"orders/a", "3"},
         {"orders/a", "4"},
         {"orders/a", "5"}});
  LogRange range{"", 2};
  range.done.Add(3, 4);
  Read(range);
  EXPECT_EQ(cursor_->Go(), LogTurn::kEnd);
  EXPECT_EQ(Offsets(), (std::vector<uint64_t>{2, 5}));
}

TEST_F(LogCursorTest, WithoutRoomItGoesOnWhereItStopped) {
  Open();
  Store({{"orders/a", "12"}, {"orders/a", "34"}, {"orders/a", "56"}});
  Read({"", 1});
  target_.room = 0;
  EXPECT_EQ(cursor_->Go(), LogTurn::kNoRoom);
  EXPECT_EQ(cursor_->position(), 1u);
  EXPECT_EQ(cursor_->last_taken(), 0u);
  const size_t unit =
      kStoredDeliveryBytes + MessageFrame("orders/a", "12").size();
  target_.room = unit + unit / 2;
  EXPECT_EQ(cursor_->Go(), LogTurn::kNoRoom);
  EXPECT_EQ(cursor_->position(), 2u);
  EXPECT_EQ(cursor_->last_taken(), 1u);
  target_.room = SIZE_MAX;
  EXPECT_EQ(cursor_->Go(), LogTurn::kEnd);
  EXPECT_EQ(target_.messages.size(), 3u);
}

TEST_F(LogCursorTest, ABatchLargerThanABlockIsRead) {
  options_.log_block_bytes = 4096;
  Open();
  const std::string large(100'000, 'x');
  StoreOne("orders/a", "small");
  Store({{"orders/a", large}, {"orders/b", large}});
  StoreOne("orders/a", "last");
  Read({"", 1});
  EXPECT_EQ(cursor_->Go(), LogTurn::kEnd);
  EXPECT_EQ(target_.messages.size(), 4u);
  EXPECT_EQ(target_.messages[3].payload, large);
}

TEST_F(LogCursorTest, OthersHaveTheirTurnAfterSoManyBytes) {
  options_.log_block_bytes = 4096;
  options_.log_turn_bytes = 10'000;
  Open();
  for (int i = 0; i < 20; ++i) StoreOne("orders/a", std::string(2000, 'x'));
  Read({"", 1});
  EXPECT_EQ(cursor_->Go(), LogTurn::kMore);
  EXPECT_LT(target_.messages.size(), 10u);
  LogTurn turn = LogTurn::kMore;
  for (int i = 0; i < 10 && turn == LogTurn::kMore; ++i) turn = cursor_->Go();
  EXPECT_EQ(turn, LogTurn::kEnd);
  EXPECT_EQ(target_.messages.size(), 20u);
}

TEST_F(LogCursorTest, WhatWasTrimmedIsAGapOfThatMany) {
  rule_.keep_messages = 1;
  options_.log_segment_bytes = 4097;
  options_.log_retention_interval = absl::ZeroDuration();
  Open();
  for (int i = 0; i < 5; ++i) StoreOne("orders/a", "x");
  const absl::Time deadline = absl::Now() + kDeadline;
  while (log_->log().first_offset() < 5 && absl::Now() < deadline) {
    log_->log().Wake();
  }
  Read({"", 2});
  target_.next = 2;
  EXPECT_EQ(cursor_->Go(), LogTurn::kEnd);
  EXPECT_EQ(target_.reasons,
            (std::vector<pb::Gap::Reason>{pb::Gap::REASON_TRIMMED}));
  EXPECT_EQ(target_.gaps[2], 3u);
  EXPECT_EQ(Offsets(), (std::vector<uint64_t>{5}));
}

TEST_F(LogCursorTest, DamageIsAGapInItsPlace) {
  Open();
  StoreOne("orders/a", "first");
  StoreOne("orders/a", "spoilt");
  StoreOne("orders/a", "last");
  for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
    if (entry.path().extension() != ".seg") continue;
    std::ifstream in(entry.path(), std::ios::binary);
    std::string bytes((std::istreambuf_iterator<char>(in)), {});
    std::fstream out(entry.path(),
                     std::ios::binary | std::ios::in | std::ios::out);
    out.seekp(static_cast<std::streamoff>(bytes.find("spoilt")));
    out.put('x');
  }
  Read({"", 1});
  EXPECT_EQ(cursor_->Go(), LogTurn::kEnd);
  EXPECT_EQ(Offsets(), (std::vector<uint64_t>{1, 3}));
  EXPECT_EQ(target_.reasons,
            (std::vector<pb::Gap::Reason>{pb::Gap::REASON_DAMAGED}));
  EXPECT_EQ(target_.gaps[2], 1u);
}

TEST_F(LogCursorTest, AReadThatFailsIsTriedAgain) {
  Open();
  StoreOne("orders/a", "1");
  Read({"", 1});
  int wakes = 0;
  Waiter waiter{wakes};
  log_->watch(0).Add(waiter);
  failing_.store(true);
  EXPECT_EQ(cursor_->Go(), LogTurn::kFailed);
  tasks_.RunUntil([&] { return wakes > 0; });
  log_->watch(0).Remove(waiter);
  EXPECT_TRUE(target_.messages.empty());
  failing_.store(false);
  EXPECT_EQ(cursor_->Go(), LogTurn::kEnd);
  EXPECT_EQ(Offsets(), (std::vector<uint64_t>{1}));
}

TEST_F(LogCursorTest, ReadersThatAreEquallyFarReadTheFileOnce) {
  Open();
  StoreOne("orders/a", "1");
  Read({"", 1});
  EXPECT_EQ(cursor_->Go(), LogTurn::kEnd);
  failing_.store(true);
  FakeTarget other;
  LogCursor second(log_, 0, options_, other, {"", 1});
  EXPECT_EQ(second.Go(), LogTurn::kEnd);
  EXPECT_EQ(other.messages.size(), 1u);
}

}  // namespace
}  // namespace fifobus
