#include "broker/core/logs/durable_log.h"

#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "broker/base/clock.h"
#include "broker/core/logs/log_committer.h"
#include "broker/io/posix_disk.h"
#include "gtest/gtest.h"
#include "tests/support/log_fixture.h"

namespace fifobus {
namespace {

using DurableLogTest = LogFixture;

TEST_F(DurableLogTest, OffsetsBeginAtOneAndHaveNoHoles) {
  EXPECT_EQ(Append("a", "", 0, 3).base_offset, 1u);
  EXPECT_EQ(Append("b", "", 0, 1).base_offset, 4u);
  EXPECT_EQ(Commit(), LogOutcome::kDone);
  EXPECT_EQ(events_.committed, 4u);
  Open();
  EXPECT_EQ(Append("c").base_offset, 5u);
}

TEST_F(DurableLogTest, WhatIsNotCommittedIsNotRead) {
  (void)Append("a");
  EXPECT_EQ(log_->Read(1, 100).outcome, LogReadOutcome::kEnd);
  EXPECT_EQ(log_->Commit(LogWriter::SyncWhen::kLater), LogOutcome::kDone);
  EXPECT_EQ(events_.written, 1u);
  EXPECT_EQ(events_.committed, 0u);
  EXPECT_EQ(log_->Read(1, 100).outcome, LogReadOutcome::kEnd);
  EXPECT_EQ(Commit(), LogOutcome::kDone);
  EXPECT_EQ(events_.committed, 1u);
  EXPECT_EQ(BodyAt(1), "a");
}

TEST_F(DurableLogTest, AReadBeginsWithTheBatchThatHoldsTheOffset) {
  (void)Append("abc", "", 0, 3);
  (void)Append("de", "", 0, 2);
  ASSERT_EQ(Commit(), LogOutcome::kDone);
  const LogReadResult read = log_->Read(2, 1000);
  ASSERT_EQ(read.extents.size(), 2u);
  EXPECT_EQ(read.extents[0].first_offset, 1u);
  EXPECT_EQ(read.extents[0].count, 3u);
  EXPECT_EQ(BodyOf(read.extents[1]), "de");
  EXPECT_EQ(read.next_offset, 6u);
  EXPECT_EQ(log_->Read(2, 1).extents.size(), 1u);
  EXPECT_EQ(log_->Read(6, 1).outcome, LogReadOutcome::kEnd);
}

TEST_F(DurableLogTest, StoredTimesNeverDecrease) {
  Store("a");
  now_ = 500;  // the clock was set back
  Store("b");
  Open();
  Store("c");
  for (uint64_t offset : {1, 2, 3}) {
    EXPECT_EQ(log_->Read(offset, 1).extents.at(0).stored_time_unix_nanos,
              1000u);
  }
}

TEST_F(DurableLogTest, ATimeIsFoundAcrossSegmentsAndEntries) {
  options_.log_index_bytes = 300;
  options_.log_segment_bytes = 7000;
  Open();
  for (uint64_t n = 1; n <= 100; ++n) {
    now_ = 1000 + n / 2 * 10;
    Store(std::string(90, 'x'));
  }
  ASSERT_GT(Files(".seg").size(), 3u);
  const auto check = [&] {
    EXPECT_EQ(log_->FindOffset(absl::UnixEpoch()), 1u);
    for (uint64_t n = 2; n <= 100; n += 2) {
      EXPECT_EQ(log_->FindOffset(absl::FromUnixNanos(1000 + n / 2 * 10)), n);
      EXPECT_EQ(log_->FindOffset(absl::FromUnixNanos(1000 + n / 2 * 10 - 9)),
                n);
    }
    EXPECT_EQ(log_->FindOffset(absl::FromUnixNanos(1501)), 101u);
  };
  check();
  Open();
  check();
}

TEST_F(DurableLogTest, ARepeatIsToldAndNotStored) {
  Store("a", "till", 5);
  const AppendResult repeat = Append("a", "till", 5);
  EXPECT_EQ(repeat.outcome, AppendOutcome::kRepeated);
  EXPECT_EQ(repeat.mark.last_sequence, 5u);
  EXPECT_EQ(repeat.mark.last_offset, 1u);
  EXPECT_EQ(Append("a", "other", 5).outcome, AppendOutcome::kAppended);
  EXPECT_EQ(log_->next_offset(), 3u);
}

TEST_F(DurableLogTest, ARepeatIsKnownWhenTheMessageIsLongGone) {
  Store("a", "till", 5);
  rule_.keep_messages = 1;
  Open();
  StoreSegments(3);
  log_->Retain(now_);
  EXPECT_EQ(log_->first_offset(), 4u);
  EXPECT_EQ(Files(".seg").size(), 1u);
  Open();
  EXPECT_EQ(Append("a", "till", 5).outcome, AppendOutcome::kRepeated);
  EXPECT_EQ(Append("b", "till", 6).outcome, AppendOutcome::kAppended);
}

TEST_F(DurableLogTest, ThePublishersThatARememberedAreBounded) {
  options_.log_publishers_max = 2;
  Store("a", "1", 1);
  Store("a", "2", 1);
  EXPECT_EQ(Append("a", "3", 1).outcome, AppendOutcome::kTooManyPublishers);
  EXPECT_EQ(Append("a", "2", 2).outcome, AppendOutcome::kAppended);
  EXPECT_EQ(Append("a").outcome, AppendOutcome::kAppended);
}

TEST_F(DurableLogTest, WhatRetentionRemovedIsAnExactNumber) {
  rule_.keep_messages = 2;
  Open();
  StoreSegments(5);
  log_->Retain(now_);
  const LogReadResult read = log_->Read(1, 1);
  EXPECT_EQ(read.outcome, LogReadOutcome::kTrimmed);
  EXPECT_EQ(read.missing, (MissingRange{1, 3}));
  EXPECT_EQ(read.next_offset, 4u);
  EXPECT_EQ(Files(".seg").size(), 2u);
  EXPECT_EQ(Files(".idx").size(), 1u);
}

// Else a crash could bring back what its successor had replaced.
TEST_F(DurableLogTest, AFailedAttemptGoesWithItsSuccessor) {
  rule_.keep_messages = 1;
  Open();
  StoreSegments(2);
  // So that the second segment is gone on with, and no new one clears up.
  options_.log_segment_bytes = 100000;
  ASSERT_EQ(log_->Cover(), LogOutcome::kDone);
  const std::string file = Files(".seg")[0];
  const std::string bytes = machine_.files().at(file);
  machine_.Put(SegmentFile({1, 5}), bytes);
  machine_.Put(file, bytes.substr(0, kSegmentHeaderUnit));
  Open();
  EXPECT_EQ(BodyAt(1), "segment 1");
  log_->Retain(now_);
  EXPECT_EQ(log_->first_offset(), 2u);
  for (const std::string& left : Files(".seg")) {
    EXPECT_GE(ParseSegmentFile(left)->base_offset, 2u) << left;
  }
}

TEST_F(DurableLogTest, AReaderKeepsTheSegmentThatRetentionRemoves) {
  rule_.keep_messages = 1;
  Open();
  StoreSegments(3);
  const LogReadResult read = log_->Read(1, 1);
  log_->Retain(now_);
  EXPECT_EQ(log_->first_offset(), 3u);
  EXPECT_EQ(BodyOf(read.extents.at(0)), "segment 1");
}

TEST_F(DurableLogTest, WhatIsDoneGoes) {
  rule_.keep_until = LogRule::KeepUntil::kDone;
  Open();
  StoreSegments(4);
  log_->Retain(now_);
  EXPECT_EQ(log_->first_offset(), 1u);
  events_.done = 2;
  log_->Retain(now_);
  EXPECT_EQ(log_->first_offset(), 3u);
}

TEST_F(DurableLogTest, AnOldMessageIsNotKeptByAQuietLog) {
  rule_.keep_age = absl::Nanoseconds(800);
  Open();
  Store("old");
  now_ += 200;
  log_->Retain(now_);
  Store("newer");  // the old one's segment is no longer written to
  now_ += 700;
  log_->Retain(now_);
  EXPECT_EQ(log_->first_offset(), 2u);
}

TEST_F(DurableLogTest, ATrimTakesWholeSegmentsBelowTheOffset) {
  StoreSegments(5);
  log_->Trim(3);
  EXPECT_EQ(log_->first_offset(), 3u) << "at once";
  EXPECT_EQ(Files(".seg").size(), 5u) << "the committer removes files";
  log_->FinishTrim();
  EXPECT_EQ(Files(".seg").size(), 3u);
  EXPECT_EQ(log_->Read(1, 1).missing, (MissingRange{1, 2}));
  log_->Trim(1);
  log_->FinishTrim();
  EXPECT_EQ(log_->first_offset(), 3u);
  Open();
  EXPECT_EQ(log_->first_offset(), 3u);
  EXPECT_EQ(BodyAt(3), "segment 3");
}

TEST_F(DurableLogTest, ATrimInTheMiddleOfASegmentKeepsAllOfIt) {
  options_.log_segment_bytes = size_t{1} << 20;
  for (const char* body : {"first", "second", "third"}) Store(body);
  log_->Trim(3);
  log_->FinishTrim();
  Store("fourth");
  EXPECT_EQ(log_->first_offset(), 1u);
}

TEST_F(DurableLogTest, ATrimOfEverythingEndsWithTheNextMessage) {
  for (const char* body : {"first", "second"}) Store(body);
  log_->Trim(3);
  log_->FinishTrim();
  EXPECT_EQ(log_->first_offset(), 1u) << "the last segment says where it is";
  Store("third");
  EXPECT_EQ(log_->first_offset(), 3u);
  EXPECT_EQ(Files(".seg").size(), 1u);
  EXPECT_EQ(BodyAt(3), "third");
}

TEST_F(DurableLogTest, AnotherRuleCountsFromTheNextLook) {
  StoreSegments(4);
  log_->Retain(now_);
  EXPECT_EQ(log_->first_offset(), 1u);
  rule_.keep_messages = 2;
  log_->SetRule(rule_);
  log_->Retain(now_);
  EXPECT_EQ(log_->first_offset(), 3u);
  EXPECT_EQ(log_->rule().keep_messages, 2u);
  EXPECT_EQ(log_->name(), "test");
}

// Any thread may trim, while the committer writes and retains.
TEST_F(DurableLogTest, TrimsComeWhileTheCommitterWorks) {
  constexpr uint64_t kMessages = 300;
  options_.log_segment_bytes = 4097;
  options_.log_retention_interval = absl::ZeroDuration();
  rule_.keep_messages = 50;
  Open();
  {
    const LogCommitter committer(*log_, options_);
    std::thread trimmer([&] {
      for (uint64_t n = 1; n <= kMessages; n += 7) log_->Trim(n);
    });
    for (uint64_t n = 1; n <= kMessages; ++n) {
      EXPECT_EQ(Append(std::to_string(n)).outcome, AppendOutcome::kAppended);
    }
    trimmer.join();
  }
  EXPECT_EQ(log_->committed_offset(), kMessages);
  EXPECT_EQ(BodyAt(kMessages), std::to_string(kMessages));
  const uint64_t first = log_->first_offset();
  Open();
  EXPECT_EQ(log_->first_offset(), first) << "files and view agree";
}

TEST_F(DurableLogTest, AFullDiskHealsWithTheSameBytes) {
  Store("first");
  machine_.capacity_bytes = machine_.used_bytes() + 40;
  (void)Append(std::string(500, 'x'));
  EXPECT_EQ(Commit(), LogOutcome::kNoRoom);
  EXPECT_EQ(log_->outcome(), LogOutcome::kNoRoom);
  (void)Append("third");
  EXPECT_EQ(Commit(), LogOutcome::kNoRoom);
  EXPECT_EQ(events_.committed, 1u);
  machine_.capacity_bytes = UINT64_MAX;
  EXPECT_EQ(Commit(), LogOutcome::kDone);
  EXPECT_EQ(events_.committed, 3u);
  EXPECT_EQ(events_.outcomes,
            (std::vector<LogOutcome>{LogOutcome::kNoRoom, LogOutcome::kDone}));
  Open();
  EXPECT_EQ(BodyAt(2), std::string(500, 'x'));
  EXPECT_EQ(BodyAt(3), "third");
  EXPECT_EQ(Files(".seg").size(), 2u) << "the uncovered batch is in a new one";
}

TEST_F(DurableLogTest, AFullDiskDropsTheOldestWhereThatIsTheRule) {
  rule_.on_full = LogRule::OnFull::kDropOldest;
  Open();
  StoreSegments(4);
  machine_.capacity_bytes = machine_.used_bytes() + 10;
  (void)Append(std::string(600, 'x'));
  // The message needs a segment of its own, which is larger than the oldest.
  EXPECT_EQ(Commit(), LogOutcome::kNoRoom);
  EXPECT_EQ(Commit(), LogOutcome::kNoRoom);
  EXPECT_EQ(Commit(), LogOutcome::kDone);
  EXPECT_EQ(log_->first_offset(), 3u);
  EXPECT_EQ(BodyAt(5), std::string(600, 'x'));
}

TEST_F(DurableLogTest, AFullBacklogIsToldUntilItIsHalfEmpty) {
  options_.log_backlog_bytes_max = 1000;
  EXPECT_FALSE(Append(std::string(500, 'x')).full);
  EXPECT_TRUE(Append(std::string(500, 'x')).full);
  EXPECT_TRUE(Append("").full);
  EXPECT_EQ(events_.rooms, 0);
  EXPECT_EQ(Commit(), LogOutcome::kDone);
  EXPECT_EQ(events_.rooms, 1);
  EXPECT_FALSE(Append("").full);
}

// With the committer's thread; the sanitizers look on.
TEST_F(DurableLogTest, TheCommitterCommitsWhatManyThreadsAppend) {
  constexpr uint64_t kEach = 300;
  options_.log_cover_delay = absl::Milliseconds(1);
  {
    const LogCommitter committer(*log_, options_);
    std::vector<std::thread> threads;
    for (int thread = 0; thread < 3; ++thread) {
      threads.emplace_back([this, thread] {
        for (uint64_t n = 1; n <= kEach; ++n) {
          EXPECT_EQ(Append("x", "thread" + std::to_string(thread), n).outcome,
                    AppendOutcome::kAppended);
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    const absl::Duration deadline = MonotonicNow() + absl::Seconds(60);
    while (log_->committed_offset() < 3 * kEach && MonotonicNow() < deadline) {
      std::this_thread::yield();
    }
    EXPECT_EQ(log_->committed_offset(), 3 * kEach);
  }
  EXPECT_TRUE(log_->covered()) << "before its end";
  Open();
  EXPECT_EQ(log_->next_offset(), 3 * kEach + 1);
}

// On real files, through rolled and removed segments; the sanitizers look on.
TEST_F(DurableLogTest, AReaderFollowsTheCommitter) {
  constexpr uint64_t kMessages = 2000;
  const std::string folder = testing::TempDir() + "/followed";
  std::filesystem::remove_all(folder);
  options_.log_segment_bytes = 20000;
  options_.log_retention_interval = absl::Milliseconds(1);
  rule_.keep_messages = 500;
  auto disk = PosixDisk::OpenFolder(folder);
  ASSERT_TRUE(disk.ok()) << disk.status().message();
  log_ = DurableLog::Open(*std::move(disk), rule_, options_, events_).log;
  ASSERT_NE(log_, nullptr);
  uint64_t read_up_to = 0;
  {
    const LogCommitter committer(*log_, options_);
    std::thread reader([&] {
      const absl::Duration deadline = MonotonicNow() + absl::Seconds(60);
      while (read_up_to < kMessages && MonotonicNow() < deadline) {
        const LogReadResult read = log_->Read(read_up_to + 1, 3000);
        for (const LogExtent& extent : read.extents) {
          EXPECT_EQ(BodyOf(extent), std::to_string(extent.first_offset));
        }
        EXPECT_NE(read.outcome, LogReadOutcome::kDamaged) << read_up_to;
        EXPECT_NE(read.outcome, LogReadOutcome::kFailed) << read_up_to;
        read_up_to = read.next_offset - 1;
      }
    });
    for (uint64_t n = 1; n <= kMessages; ++n) {
      const std::string body = std::to_string(n);
      EXPECT_EQ(Append(body).base_offset, n);
    }
    reader.join();
  }
  EXPECT_EQ(read_up_to, kMessages);
  log_.reset();
  std::filesystem::remove_all(folder);
}

// An interval must not hold publishers up who fill the backlog.
TEST_F(DurableLogTest, AFullBacklogIsSyncedBeforeItsInterval) {
  rule_.sync_interval = absl::Hours(1);
  options_.log_backlog_bytes_max = 1000;
  Open();
  const LogCommitter committer(*log_, options_);
  for (int i = 0; i < 10; ++i) (void)Append(std::string(500, 'x'));
  const absl::Duration deadline = MonotonicNow() + absl::Seconds(60);
  while (log_->full() && MonotonicNow() < deadline) std::this_thread::yield();
  EXPECT_FALSE(log_->full());
  EXPECT_GT(log_->committed_offset(), 0u);
}

// Nothing but the next batch says that the last one was on disk.
TEST_F(DurableLogTest, AnIdleLogCoversItsLastBatch) {
  options_.log_cover_delay = absl::Milliseconds(1);
  const LogCommitter committer(*log_, options_);
  const auto end = [this] {
    return log_->view().segments->back()->end_position();
  };
  const uint64_t begin = end();
  (void)Append("12345678");
  const uint64_t covered = begin + 2 * kBatchHeaderBytesMin + 8;
  const absl::Duration deadline = MonotonicNow() + absl::Seconds(60);
  while (end() < covered && MonotonicNow() < deadline) {
    std::this_thread::yield();
  }
  EXPECT_EQ(end(), covered);
}

TEST_F(DurableLogTest, TheCommitterEndsWithWhatWasAppendedOnDisk) {
  rule_.sync_interval = absl::Hours(1);
  Open();
  {
    const LogCommitter committer(*log_, options_);
    (void)Append("last words");
  }
  machine_.CutPower();
  Open();
  EXPECT_EQ(BodyAt(1), "last words");
}

}  // namespace
}  // namespace fifobus
