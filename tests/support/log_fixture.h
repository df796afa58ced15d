#ifndef FIFOBUS_TESTS_SUPPORT_LOG_FIXTURE_H_
#define FIFOBUS_TESTS_SUPPORT_LOG_FIXTURE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "broker/base/log.h"
#include "broker/core/logs/durable_log.h"
#include "gtest/gtest.h"
#include "tests/support/log_model.h"
#include "tests/support/simulated_disk.h"

namespace fifobus {

// What a log told of itself.
struct LogEvents : LogObserver {
  void OnWritten(uint64_t offset) override { written = offset; }
  void OnCommitted(uint64_t offset) override { committed = offset; }
  void OnRoom() override { ++rooms; }
  void OnOutcome(LogOutcome now, std::string_view) override {
    outcomes.push_back(now);
  }
  std::optional<uint64_t> DoneOffset() override { return done; }

  uint64_t written = 0;
  uint64_t committed = 0;
  int rooms = 0;
  std::vector<LogOutcome> outcomes;
  std::optional<uint64_t> done;
};

// One log on a simulated machine that is kind unless told otherwise.
class LogFixture : public testing::Test {
 protected:
  void SetUp() override {
    StartLog(LogLevel::kOff);
    rule_.name = "test";
    Open();
  }

  LogOutcome TryOpen() {
    log_.reset();
    machine_.Kill();
    DurableLog::Opened opened =
        DurableLog::Open(machine_.Mount(), rule_, options_, events_);
    log_ = std::move(opened.log);
    missing_ = opened.missing;
    return opened.outcome;
  }
  void Open() { ASSERT_EQ(TryOpen(), LogOutcome::kDone); }

  AppendResult Append(const std::string& body,
                      const std::string& publisher = "", uint64_t sequence = 0,
                      uint32_t count = 1) {
    LogAppend append{publisher,
                     sequence,
                     sequence,
                     count,
                     static_cast<uint32_t>(body.size()),
                     now_};
    return log_->Append(append, [&](const DurableLog::Placement&, char* out) {
      body.copy(out, body.size());
    });
  }
  LogOutcome Commit() { return log_->Commit(LogWriter::SyncWhen::kNow); }
  void Store(const std::string& body, const std::string& publisher = "",
             uint64_t sequence = 0) {
    ASSERT_EQ(Append(body, publisher, sequence).outcome,
              AppendOutcome::kAppended);
    ASSERT_EQ(Commit(), LogOutcome::kDone);
  }
  // Fills segments of their own with one message each.
  void StoreSegments(int count) {
    options_.log_segment_bytes = 4097;
    for (int i = 0; i < count; ++i) {
      now_ += 10;
      Store("segment " + std::to_string(log_->next_offset()));
    }
  }

  std::string BodyAt(uint64_t offset) {
    const LogReadResult read = log_->Read(offset, 1);
    if (read.outcome != LogReadOutcome::kExtents) return "none";
    return BodyOf(read.extents.at(0));
  }

  std::vector<std::string> Files(std::string_view ending) {
    std::vector<std::string> names;
    for (const auto& [name, bytes] : machine_.files()) {
      if (name.ends_with(ending)) names.push_back(name);
    }
    return names;
  }

  // Turns one bit of the first occurrence of a text.
  void Spoil(const std::string& text) {
    for (const auto& [name, bytes] : machine_.files()) {
      const size_t at = bytes.find(text);
      if (at != std::string::npos) return machine_.FlipBit(name, at * 8);
    }
    FAIL() << text;
  }

  SimulatedMachine machine_{1};
  BrokerOptions options_;
  LogRule rule_;
  LogEvents events_;
  uint64_t now_ = 1000;
  std::unique_ptr<DurableLog> log_;
  std::vector<MissingRange> missing_;
};

}  // namespace fifobus

#endif  // FIFOBUS_TESTS_SUPPORT_LOG_FIXTURE_H_
