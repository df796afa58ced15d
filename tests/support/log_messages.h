#ifndef FIFOBUS_TESTS_SUPPORT_LOG_MESSAGES_H_
#define FIFOBUS_TESTS_SUPPORT_LOG_MESSAGES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "broker/core/logs/durable_log.h"
#include "broker/io/posix_disk.h"
#include "gtest/gtest.h"
#include "tests/support/core_fakes.h"
#include "tests/support/log_model.h"

namespace fifobus {

struct LogMessage {
  uint64_t offset = 0;
  std::string topic;
  uint64_t sequence = 0;
  std::string payload;
};

// All messages of a log that no broker has open, in order. A hole between them
// fails the test.
inline std::vector<LogMessage> MessagesInLog(const std::string& state_dir,
                                             const std::string& log_name) {
  std::vector<LogMessage> messages;
  auto disk = PosixDisk::OpenFolder(state_dir + "/logs/" + log_name);
  EXPECT_TRUE(disk.ok()) << disk.status();
  if (!disk.ok()) return messages;
  const BrokerOptions options;
  LogRule rule;
  rule.name = log_name;
  LogObserver observer;
  const DurableLog::Opened opened =
      DurableLog::Open(*std::move(disk), rule, options, observer);
  EXPECT_TRUE(opened.log) << opened.reason;
  if (!opened.log) return messages;
  for (uint64_t next = opened.log->first_offset();;) {
    const LogReadResult read = opened.log->Read(next, size_t{1} << 20);
    if (read.outcome == LogReadOutcome::kEnd) break;
    EXPECT_EQ(read.outcome, LogReadOutcome::kExtents);
    if (read.outcome != LogReadOutcome::kExtents) break;
    for (const LogExtent& extent : read.extents) {
      const SplitFrames split = Split(BodyOf(extent));
      for (size_t i = 0; i + 1 < split.frames.size(); i += 2) {
        EXPECT_EQ(Parse(split.frames[i]).delivery().offset(), next++);
        const pb::Message message = Parse(split.frames[i + 1]).message();
        messages.push_back(
            {next - 1, message.topic(), message.sequence(), message.payload()});
      }
    }
  }
  return messages;
}

}  // namespace fifobus

#endif  // FIFOBUS_TESTS_SUPPORT_LOG_MESSAGES_H_
