#include <atomic>
#include <cstdint>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "broker/core/logs/offset_set.h"
#include "broker/core/readers/log_cursor.h"
#include "gtest/gtest.h"
#include "proto/topic.h"
#include "tests/support/log_cursor_fixture.h"

namespace fifobus {
namespace {

// A stream of messages, trimmed as it comes, and a reader with little room.
class LogCursorSimulation : public LogCursorFixture {
 protected:
  static std::vector<TestMessage> RandomBatch(std::mt19937& random,
                                              uint64_t& number) {
    std::vector<TestMessage> batch(1 + random() % 5);
    for (TestMessage& message : batch) {
      message.topic = "orders/" + std::string(1, "abc"[random() % 3]);
      message.payload =
          std::to_string(number++) + std::string(random() % 300, 'x');
    }
    return batch;
  }

  // Appends from a thread of its own, while the reader reads.
  void Run(uint32_t seed, const std::string& pattern) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    std::vector<TestMessage> stored;  // by offset, from 1
    constexpr size_t kMessages = 1500;
    std::atomic<bool> done{false};
    std::mt19937 appending(seed + 1000);
    std::thread publisher([&] {
      uint64_t number = 0;
      while (stored.size() < kMessages) {
        const std::vector<TestMessage> batch = RandomBatch(appending, number);
        EXPECT_EQ(AppendMessages(log_->log(), batch), stored.size() + 1);
        stored.insert(stored.end(), batch.begin(), batch.end());
      }
      done.store(true);
    });
    Read({pattern, 1});
    const absl::Time deadline = absl::Now() + kDeadline;
    LogTurn turn = LogTurn::kMore;
    while (absl::Now() < deadline) {
      target_.room = random() % 4 == 0 ? 0 : random() % 3000;
      const bool all = done.load() && log_->committed_offset() ==
                                          log_->log().next_offset() - 1;
      turn = cursor_->Go();
      tasks_.RunAll();
      if (all && turn == LogTurn::kEnd) break;
    }
    publisher.join();
    EXPECT_EQ(turn, LogTurn::kEnd);
    EXPECT_EQ(cursor_->position(), stored.size() + 1);
    ExpectEach(stored, pattern);
  }

  // Each message was delivered, or is not the pattern's, or lies in a gap.
  void ExpectEach(const std::vector<TestMessage>& stored,
                  const std::string& pattern) {
    OffsetSet missing;
    for (const auto& [at, count] : target_.gaps) {
      missing.Add(at, at + count - 1);
    }
    for (uint64_t offset = 1; offset <= stored.size(); ++offset) {
      const TestMessage& message = stored[offset - 1];
      const auto found = target_.messages.find(offset);
      const bool wanted = pattern.empty() || Matches(pattern, message.topic);
      if (found != target_.messages.end()) {
        ASSERT_TRUE(wanted) << offset;
        ASSERT_EQ(found->second, message) << offset;
      } else if (wanted && pattern.empty()) {
        ASSERT_TRUE(missing.Contains(offset)) << offset;
      }
    }
    if (pattern.empty()) return;
    // Where its gaps begin is not told by the offsets that were delivered.
    if (target_.gaps.empty()) {
      for (uint64_t offset = 1; offset <= stored.size(); ++offset) {
        const bool wanted = Matches(pattern, stored[offset - 1].topic);
        ASSERT_EQ(wanted, target_.messages.contains(offset)) << offset;
      }
    }
  }
};

TEST_F(LogCursorSimulation, ReplayAndWhatComesJoinWithoutAHole) {
  options_.log_block_bytes = 2000;
  options_.log_blocks_bytes_max = 5000;
  options_.log_segment_bytes = 30'000;
  options_.log_index_bytes = 1000;
  Open();
  Run(1, "");
  EXPECT_TRUE(target_.gaps.empty());
}

TEST_F(LogCursorSimulation, APatternsToo) {
  options_.log_block_bytes = 2000;
  options_.log_segment_bytes = 30'000;
  Open();
  Run(2, "orders/b");
  EXPECT_TRUE(target_.gaps.empty());
}

TEST_F(LogCursorSimulation, WhatIsTrimmedMeanwhileIsToldExactly) {
  rule_.keep_messages = 100;
  options_.log_block_bytes = 2000;
  options_.log_blocks_bytes_max = 2000;
  options_.log_segment_bytes = 10'000;
  options_.log_retention_interval = absl::ZeroDuration();
  Open();
  Run(3, "");
}

}  // namespace
}  // namespace fifobus
