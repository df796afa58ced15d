#include "broker/core/logs/log_recovery.h"

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "broker/core/logs/durable_log.h"
#include "gtest/gtest.h"
#include "tests/support/log_fixture.h"

namespace fifobus {
namespace {

using LogRecoveryTest = LogFixture;

TEST_F(LogRecoveryTest, AnIndexFileIsNoEvidence) {
  StoreSegments(3);
  const std::vector<std::string> indexes = Files(".idx");
  ASSERT_EQ(indexes.size(), 2u);
  const std::string id = machine_.files().at(Files(".seg")[0]).substr(16, 16);
  LogId log_id;
  std::copy(id.begin(), id.end(), log_id.bytes.begin());
  // Whole, of this log, and wrong.
  machine_.Put(indexes[0], EncodeIndex(log_id.seed(), 1, {{1, 4104, 0}}));
  machine_.Put(indexes[1], "garbage");
  Open();
  for (uint64_t n : {1, 2, 3}) {
    EXPECT_EQ(BodyAt(n), "segment " + std::to_string(n));
  }
}

TEST_F(LogRecoveryTest, ADamagedBodyIsReportedAndLeftAlone) {
  for (const char* body : {"first", "second", "third"}) Store(body);
  ASSERT_EQ(log_->Cover(), LogOutcome::kDone);
  Spoil("second");
  const auto files = machine_.files();
  EXPECT_EQ(log_->Read(2, 1).missing, (MissingRange{2, 2}));
  EXPECT_EQ(log_->Read(1, 1000).extents.size(), 1u);
  Open();
  EXPECT_EQ(missing_, (std::vector<MissingRange>{{2, 2}}));
  EXPECT_EQ(log_->Read(2, 1).outcome, LogReadOutcome::kDamaged);
  EXPECT_EQ(BodyAt(1), "first");
  EXPECT_EQ(BodyAt(3), "third");
  Store("fourth");
  EXPECT_EQ(machine_.files().at(Files(".seg")[0]), files.begin()->second)
      << "appends go on in a new segment";
  EXPECT_EQ(CheckLog(log_->view()).missing,
            (std::vector<MissingRange>{{2, 2}}));
}

TEST_F(LogRecoveryTest, ADamagedHeaderTellsTheExactNumber) {
  Store("first");
  for (const char* body : {"second", "third"})
    Store(body, "spoilt-name", body[0]);
  Store("fourth");
  ASSERT_EQ(log_->Cover(), LogOutcome::kDone);
  Spoil("spoilt-name");
  Open();
  EXPECT_EQ(missing_, (std::vector<MissingRange>{{2, 2}}));
  EXPECT_EQ(log_->Read(2, 1).next_offset, 3u);
  EXPECT_EQ(BodyAt(3), "third");
}

TEST_F(LogRecoveryTest, ATornTailIsKeptCutAndWrittenOver) {
  Store("first");
  ASSERT_EQ(log_->Cover(), LogOutcome::kDone);
  const std::string file = Files(".seg")[0];
  const std::string whole = machine_.files().at(file);
  machine_.Put(file, whole + std::string("FBAT and half a header"));
  Open();
  EXPECT_EQ(machine_.files().at(file), whole);
  ASSERT_EQ(Files(".torn").size(), 1u);
  EXPECT_EQ(machine_.files().at(Files(".torn")[0]), "FBAT and half a header");
  EXPECT_TRUE(missing_.empty());
  Store("second");
  EXPECT_EQ(BodyAt(2), "second");
}

TEST_F(LogRecoveryTest, OnlyTheLastTornTailsAreKept) {
  options_.log_torn_files_max = 3;
  for (int i = 0; i < 6; ++i) {
    Store("message");
    const std::string file = Files(".seg").back();
    machine_.Put(file, machine_.files().at(file) + "torn");
    Open();
  }
  EXPECT_EQ(Files(".torn").size(), 3u);
  EXPECT_EQ(log_->committed_offset(), 6u);
}

TEST_F(LogRecoveryTest, ASegmentTornAtItsCreationLosesNothing) {
  StoreSegments(3);
  machine_.Put("00000000000000000004.seg", std::string(700, '\0'));
  Open();
  EXPECT_EQ(log_->committed_offset(), 3u);
  EXPECT_EQ(Files(".torn").size(), 1u);
  Store("segment 4");
  Open();
  EXPECT_EQ(BodyAt(4), "segment 4");
}

TEST_F(LogRecoveryTest, ALogTornAtItsCreationBeginsAnew) {
  machine_.Put(Files(".seg")[0], std::string(100, '\0'));
  Open();
  Store("first");
  EXPECT_EQ(BodyAt(1), "first");
}

TEST_F(LogRecoveryTest, ADamagedSegmentHeaderLosesNothing) {
  Store("first", "till", 1);
  Store("second", "till", 2);
  ASSERT_EQ(log_->Cover(), LogOutcome::kDone);
  machine_.FlipBit(Files(".seg")[0], 3000 * 8);
  Open();
  EXPECT_EQ(BodyAt(1), "first");
  EXPECT_EQ(BodyAt(2), "second");
  EXPECT_EQ(Append("second", "till", 2).outcome, AppendOutcome::kRepeated);
  Store("third");
  EXPECT_EQ(BodyAt(3), "third");
}

TEST_F(LogRecoveryTest, ALogThatNobodyCanTellIsRefusedUntouched) {
  Store("first");
  ASSERT_EQ(log_->Cover(), LogOutcome::kDone);
  machine_.FlipBit(Files(".seg")[0], 17 * 8);  // of the log id
  const auto files = machine_.files();
  EXPECT_EQ(TryOpen(), LogOutcome::kDamaged);
  EXPECT_EQ(machine_.files(), files);
}

TEST_F(LogRecoveryTest, ANewerVersionIsRefusedUntouched) {
  StoreSegments(2);
  machine_.Put("00000000000000000003.seg", "torn, and still not touched");
  const std::string file = Files(".seg")[0];
  std::string bytes = machine_.files().at(file);
  bytes[8] = 2;
  const uint64_t seed = *reinterpret_cast<const uint64_t*>(&bytes[16]);
  const uint64_t hash = LogHash(bytes.substr(0, 4088), seed);
  bytes.replace(4088, 8, reinterpret_cast<const char*>(&hash), 8);
  machine_.Put(file, bytes);
  const auto files = machine_.files();
  EXPECT_EQ(TryOpen(), LogOutcome::kNewerVersion);
  EXPECT_EQ(machine_.files(), files);
}

TEST_F(LogRecoveryTest, ASegmentOfAnotherLogIsRefused) {
  StoreSegments(1);
  SegmentHeader other;
  other.log_id.bytes.fill('x');
  other.base_offset = 9;
  machine_.Put(SegmentFile({9, 0}), EncodeSegmentHeader(other));
  EXPECT_EQ(TryOpen(), LogOutcome::kDamaged);
}

TEST_F(LogRecoveryTest, AFailedSyncIsNotTriedAgainOnThatFile) {
  Store("first");
  // The simulation calls an open file by its first name.
  const std::string old = Files(".seg")[0] + ".new";
  (void)Append("second");
  machine_.tracing = true;
  machine_.failing_syncs = 1;
  EXPECT_EQ(Commit(), LogOutcome::kDone);
  Store("third");
  const std::vector<std::string>& trace = machine_.trace();
  EXPECT_EQ(std::count(trace.begin(), trace.end(), "fdatasync " + old), 1);
  EXPECT_EQ(std::count(trace.begin(), trace.end(), "write " + old), 1);
  EXPECT_EQ(Files(".seg").size(), 2u);
  machine_.CutPower();
  Open();
  for (const auto& [offset, body] : std::map<uint64_t, std::string>{
           {1, "first"}, {2, "second"}, {3, "third"}}) {
    EXPECT_EQ(BodyAt(offset), body);
  }
}

TEST_F(LogRecoveryTest, ADiskThatFailsTwiceFailsTheLog) {
  Store("first");
  (void)Append("second");
  machine_.failing_syncs = 2;
  EXPECT_EQ(Commit(), LogOutcome::kFailed);
  EXPECT_EQ(Append("third").outcome, AppendOutcome::kFailed);
  EXPECT_EQ(Commit(), LogOutcome::kFailed);
  EXPECT_EQ(events_.committed, 1u);
  EXPECT_EQ(BodyAt(1), "first");
  Open();
  EXPECT_EQ(BodyAt(1), "first");
}

TEST_F(LogRecoveryTest, ADiskThatFailsIsNoEmptyLog) {
  Store("first");
  machine_.failures_per_mille = 1000;
  EXPECT_EQ(log_->Read(1, 1).outcome, LogReadOutcome::kFailed);
  EXPECT_EQ(log_->FindOffset(absl::FromUnixNanos(1000)), std::nullopt);
  EXPECT_EQ(TryOpen(), LogOutcome::kFailed);
  machine_.failures_per_mille = 0;
  Open();
  EXPECT_EQ(BodyAt(1), "first");
}

TEST_F(LogRecoveryTest, ALogWithinAMessageIsNotTheLog) {
  Store("innermost");
  const std::string copy = machine_.files().at(Files(".seg")[0]);
  Store("outer" + copy, "spoilt-name", 1);
  Store("last");
  ASSERT_EQ(log_->Cover(), LogOutcome::kDone);
  // The header before the copy no longer leads over it.
  Spoil("spoilt-name");
  Open();
  EXPECT_EQ(missing_, (std::vector<MissingRange>{{2, 2}}));
  EXPECT_EQ(BodyAt(3), "last");
}

TEST_F(LogRecoveryTest, AnEndedLogIsOpenedWithoutANewSegment) {
  Store("first");
  ASSERT_EQ(log_->Cover(), LogOutcome::kDone);
  EXPECT_TRUE(log_->covered());
  Open();
  Store("second");
  EXPECT_EQ(Files(".seg").size(), 1u);
}

}  // namespace
}  // namespace fifobus
