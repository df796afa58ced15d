#ifndef FIFOBUS_TESTS_SUPPORT_STORED_LOG_SUPPORT_H_
#define FIFOBUS_TESTS_SUPPORT_STORED_LOG_SUPPORT_H_

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "broker/core/logs/durable_log.h"
#include "broker/io/posix_disk.h"
#include "gtest/gtest.h"
#include "proto/frame_writer.h"

namespace fifobus {

// A log below a state directory, as a broker writes it: each message with its
// Delivery, in a batch of its own. It has the log open until it is destroyed.
// Single-threaded.
class LogOnDisk : private LogObserver {
 public:
  LogOnDisk(const std::string& state_dir, const std::string& name,
            size_t segment_bytes = size_t{64} << 20) {
    options_.log_segment_bytes = segment_bytes;
    LogRule rule;
    rule.name = name;
    rule.pattern = "**";
    const std::filesystem::path logs =
        std::filesystem::path(state_dir) / "logs";
    std::filesystem::create_directories(logs);
    auto disk = PosixDisk::OpenFolder((logs / name).string());
    EXPECT_TRUE(disk.ok()) << disk.status();
    if (!disk.ok()) return;
    DurableLog::Opened opened =
        DurableLog::Open(*std::move(disk), rule, options_, *this);
    EXPECT_EQ(opened.outcome, LogOutcome::kDone) << opened.reason;
    log_ = std::move(opened.log);
  }

  void Store(const std::string& topic, const std::string& payload) {
    MessageFields fields;
    fields.topic = topic;
    fields.payload = payload;
    std::string frame;
    AppendMessageFrame(fields, frame);
    LogAppend append;
    append.count = 1;
    append.body_bytes =
        static_cast<uint32_t>(kStoredDeliveryBytes + frame.size());
    append.now_unix_nanos = now_unix_nanos;
    const AppendResult result = log_->Append(
        append, [&](const DurableLog::Placement& place, char* body) {
          WriteStoredDelivery(place.base_offset, place.stored_time_unix_nanos,
                              body);
          frame.copy(body + kStoredDeliveryBytes, frame.size());
        });
    EXPECT_EQ(result.outcome, AppendOutcome::kAppended);
    EXPECT_EQ(log_->Commit(LogWriter::SyncWhen::kNow), LogOutcome::kDone);
  }

  // As an orderly end does.
  void Cover() { EXPECT_EQ(log_->Cover(), LogOutcome::kDone); }

  uint64_t now_unix_nanos = 1'000'000'000;

 private:
  BrokerOptions options_;
  std::unique_ptr<DurableLog> log_;
};

}  // namespace fifobus

#endif  // FIFOBUS_TESTS_SUPPORT_STORED_LOG_SUPPORT_H_
