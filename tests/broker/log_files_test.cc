#include "broker/core/logs/log_files.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/support/log_fixture.h"

namespace fifobus {
namespace {

class LogFilesTest : public LogFixture {
 protected:
  LogFiles Read() {
    disk_ = machine_.Mount();
    return ReadLogFiles(*disk_);
  }

  static std::string Body(const LogFiles& files, uint64_t offset) {
    const LogReadResult read = ReadLog(files.view, offset, 1);
    if (read.outcome != LogReadOutcome::kExtents) return "none";
    return BodyOf(read.extents.at(0));
  }

  std::unique_ptr<Disk> disk_;
};

TEST_F(LogFilesTest, AnEmptyLogHasNothing) {
  const LogFiles files = Read();
  EXPECT_EQ(files.outcome, LogOutcome::kDone);
  EXPECT_EQ(files.first_offset, 1u);
  EXPECT_EQ(files.next_offset, 1u);
  EXPECT_TRUE(CheckLog(files.view).missing.empty());
}

TEST_F(LogFilesTest, AnOpenLogIsReadBesideItsBrokerAndStaysAsItIs) {
  StoreSegments(3);
  const std::map<std::string, std::string> before = machine_.files();
  const LogFiles files = Read();
  ASSERT_EQ(files.outcome, LogOutcome::kDone) << files.reason;
  EXPECT_EQ(files.segments.size(), 3u);
  EXPECT_EQ(files.next_offset, 4u);
  EXPECT_EQ(files.last_time_unix_nanos, now_);
  for (const uint64_t n : {1, 2, 3}) {
    EXPECT_EQ(Body(files, n), "segment " + std::to_string(n));
  }
  uint64_t bytes = 0;
  for (const std::string& name : Files(".seg")) {
    bytes += machine_.files().at(name).size();
  }
  EXPECT_EQ(files.bytes, bytes);
  EXPECT_EQ(machine_.files(), before);
  Store("goes on");
  EXPECT_EQ(Body(Read(), 4), "goes on");
}

TEST_F(LogFilesTest, WhatIsNotKnownToBeOnDiskIsThereAndCounted) {
  Store("first");
  ASSERT_EQ(log_->Cover(), LogOutcome::kDone);
  Store("second");
  const LogFiles files = Read();
  EXPECT_EQ(files.synced_offset, 1u);
  EXPECT_EQ(files.next_offset, 3u);
  EXPECT_EQ(Body(files, 2), "second");
}

TEST_F(LogFilesTest, DamageIsFoundInTheFirstSegmentAndInTheLast) {
  StoreSegments(2);
  options_.log_segment_bytes = size_t{1} << 20;
  for (const char* body : {"third", "fourth", "fifth"}) Store(body);
  ASSERT_EQ(log_->Cover(), LogOutcome::kDone);
  Spoil("segment 1");
  Spoil("fourth");
  const std::map<std::string, std::string> before = machine_.files();
  const LogFiles files = Read();
  EXPECT_EQ(CheckLog(files.view).missing,
            (std::vector<MissingRange>{{1, 1}, {4, 4}}));
  EXPECT_EQ(Body(files, 5), "fifth");
  EXPECT_EQ(files.torn_bytes, 0u);
  EXPECT_EQ(machine_.files(), before);
}

TEST_F(LogFilesTest, ATornTailIsToldAndNotCut) {
  Store("first");
  ASSERT_EQ(log_->Cover(), LogOutcome::kDone);
  const std::string file = Files(".seg")[0];
  const std::string whole = machine_.files().at(file);
  machine_.Put(file, whole + "FBAT and half a header");
  const LogFiles files = Read();
  EXPECT_EQ(files.torn_position, whole.size());
  EXPECT_EQ(files.torn_bytes, 22u);
  EXPECT_EQ(files.next_offset, 2u);
  EXPECT_TRUE(CheckLog(files.view).missing.empty());
  EXPECT_EQ(machine_.files().at(file).size(), whole.size() + 22);
  Open();  // now it is kept as a file of its own
  EXPECT_EQ(Read().torn_files.size(), 1u);
  EXPECT_EQ(Read().torn_bytes, 0u);
}

TEST_F(LogFilesTest, ADamagedHeaderIsToldAndCostsNoMessage) {
  StoreSegments(2);
  machine_.FlipBit(Files(".seg")[0], 3000 * 8);
  const LogFiles files = Read();
  ASSERT_EQ(files.segments.size(), 2u);
  EXPECT_TRUE(files.segments[0].header_damaged);
  EXPECT_FALSE(files.segments[1].header_damaged);
  EXPECT_EQ(Body(files, 1), "segment 1");
}

TEST_F(LogFilesTest, ANewerVersionIsLeftAlone) {
  Store("first");
  SegmentHeader header;
  std::string bytes = EncodeSegmentHeader(header);
  bytes[8] = 2;
  const uint64_t hash =
      LogHash(std::string_view(bytes).substr(0, bytes.size() - 8),
              header.log_id.seed());
  for (int i = 0; i < 8; ++i) {
    bytes[bytes.size() - 8 + i] = static_cast<char>(hash >> (8 * i));
  }
  machine_.Put("00000000000000000002.seg", bytes);
  EXPECT_EQ(Read().outcome, LogOutcome::kNewerVersion);
}

TEST_F(LogFilesTest, SegmentsThatTellNoLogAreToldAsDamage) {
  Store("first");
  machine_.FlipBit(Files(".seg")[0], 18 * 8);
  const LogFiles files = Read();
  EXPECT_EQ(files.outcome, LogOutcome::kDamaged);
  EXPECT_NE(files.reason, "");
}

TEST_F(LogFilesTest, WhatWasTrimmedMeanwhileIsNotMissing) {
  StoreSegments(4);
  const LogFiles files = Read();
  for (const char* name :
       {"00000000000000000001.seg", "00000000000000000002.seg"}) {
    machine_.Forget(name);
  }
  Spoil("segment 3");
  const CheckedLog checked = CheckLog(files.view);
  EXPECT_EQ(checked.missing.size(), 3u);
  EXPECT_EQ(WithoutTrimmed(checked.missing, *disk_),
            (std::vector<MissingRange>{{3, 3}}));
}

TEST_F(LogFilesTest, ADiskThatFailsIsNoDamage) {
  Store("first");
  disk_ = machine_.Mount();
  machine_.failures_per_mille = 1000;
  EXPECT_EQ(ReadLogFiles(*disk_).outcome, LogOutcome::kFailed);
  machine_.failures_per_mille = 0;
}

}  // namespace
}  // namespace fifobus
