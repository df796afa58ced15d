#ifndef FIFOBUS_TESTS_SUPPORT_LOGGED_SESSION_FIXTURE_H_
#define FIFOBUS_TESTS_SUPPORT_LOGGED_SESSION_FIXTURE_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "broker/base/log.h"
#include "broker/core/logs/log_table.h"
#include "broker/core/logs/served_log.h"
#include "tests/support/log_model.h"
#include "tests/support/posted_tasks.h"
#include "tests/support/session_fixture.h"
#include "tests/support/simulated_disk.h"

namespace fifobus {

// One session, and logs on simulated machines. The test's thread is the worker.
class LoggedSessionTest : public SessionTest {
 protected:
  LoggedSessionTest() {
    StartLog(LogLevel::kOff);
    options_.log_cover_delay = absl::InfiniteDuration();
  }
  // What waits for a log goes before it, and the logs before their machines.
  ~LoggedSessionTest() override {
    session_.EndSubscriptions();
    session_.Release();
    for (const auto& entry : entries_) entry.log->Close();
    tasks_.RunAll();
    table_.SetLogs(LogTable());
    router_.Refresh();
  }

  // `sync_interval`: so long nothing is stored, only written.
  ServedLog& AddLog(const std::string& name, const std::string& pattern,
                    absl::Duration sync_interval = absl::ZeroDuration()) {
    machines_.push_back(std::make_unique<SimulatedMachine>(1));
    LogRule rule;
    rule.name = name;
    rule.pattern = pattern;
    rule.sync_interval = sync_interval;
    auto log = ServedLog::Open(
        machines_.back()->Mount(), rule, options_, /*workers=*/1,
        [this](size_t, absl::Duration, std::function<void()> task) {
          tasks_.Post(std::move(task));
        });
    EXPECT_TRUE(log.ok()) << log.status();
    entries_.push_back({pattern, *log});
    table_.SetLogs(LogTable(entries_));
    return **log;
  }

  static MessageFields Stored(
      std::string_view topic, uint64_t confirm_id, uint64_t sequence = 0,
      pb::Confirm::Level level = pb::Confirm::LEVEL_STORED) {
    MessageFields fields;
    fields.topic = topic;
    fields.sequence = sequence;
    fields.confirm_id = confirm_id;
    fields.confirm_level = level;
    return fields;
  }

  static std::string NamedHello(const std::string& publisher) {
    pb::Frame frame;
    frame.mutable_hello()->set_protocol_version(kProtocolVersion);
    frame.mutable_hello()->set_publisher(publisher);
    return ControlFrame(frame);
  }
  pb::Welcome OpenNamed(const std::string& publisher) {
    EXPECT_EQ(Feed(NamedHello(publisher)).outcome, FeedOutcome::kContinue);
    return Answer().welcome();
  }

  static std::string PingFor(pb::Confirm::Level level, uint64_t token = 1) {
    pb::Frame frame;
    frame.mutable_ping()->set_token(token);
    frame.mutable_ping()->set_level(level);
    return ControlFrame(frame);
  }

  // What the client reads next, when it has come.
  pb::Frame Await() {
    tasks_.RunUntil([this] { return !sink_->written.empty(); });
    return Answer();
  }

  // Closes the log. Returns the frames in it, without their Deliveries.
  static std::vector<std::string> FramesIn(ServedLog& log) {
    log.Close();
    std::vector<std::string> frames;
    uint64_t next = 1;
    while (next <= log.committed_offset()) {
      const LogReadResult read = log.log().Read(next, 1);
      if (read.outcome != LogReadOutcome::kExtents) break;
      const SplitFrames split = Split(BodyOf(read.extents.at(0)));
      for (size_t i = 0; i + 1 < split.frames.size(); i += 2) {
        EXPECT_EQ(Parse(split.frames[i]).delivery().offset(), next++);
        frames.push_back(split.frames[i + 1]);
      }
    }
    return frames;
  }

  std::vector<std::unique_ptr<SimulatedMachine>> machines_;
  PostedTasks tasks_;
  std::vector<LogTable::Entry> entries_;
};

}  // namespace fifobus

#endif  // FIFOBUS_TESTS_SUPPORT_LOGGED_SESSION_FIXTURE_H_
