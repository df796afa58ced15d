#ifndef FIFOBUS_TESTS_SUPPORT_READING_SESSION_FIXTURE_H_
#define FIFOBUS_TESTS_SUPPORT_READING_SESSION_FIXTURE_H_

#include <unistd.h>

#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "broker/base/log.h"
#include "broker/core/logs/log_table.h"
#include "broker/core/logs/served_log.h"
#include "broker/io/posix_disk.h"
#include "gtest/gtest.h"
#include "tests/support/posted_tasks.h"
#include "tests/support/session_fixture.h"
#include "tests/support/stored_messages.h"

namespace fifobus {

// Sessions that read a log, which is on a real disk. The test's thread is their
// worker. Thread-compatible.
class ReadingSessionTest : public SessionTest {
 protected:
  // A session beside the fixture's own.
  struct Other {
    std::shared_ptr<FakeSink> sink = std::make_shared<FakeSink>();
    std::shared_ptr<Egress> egress;
    std::unique_ptr<Session> session;
  };

  ReadingSessionTest() {
    StartLog(LogLevel::kOff);
    folder_ = std::filesystem::path(testing::TempDir()) /
              ("reading_" + std::to_string(getpid()) + "_" +
               testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(folder_);
    session_.SetFence([this](std::string text) { fenced_ = std::move(text); });
    session_.SetOnAnswers([this](FeedOutcome outcome) {
      closed_ = closed_ || outcome == FeedOutcome::kClose;
    });
  }
  ~ReadingSessionTest() override {
    End(session_);
    for (const Other& other : others_) End(*other.session);
    table_.SetLogs(LogTable());
    router_.Refresh();
    tasks_.RunAll();
    log_.reset();
    std::filesystem::remove_all(folder_);
  }

  void OpenLog(const std::string& pattern = "orders/**") {
    auto disk = PosixDisk::OpenFolder(folder_.string());
    ASSERT_TRUE(disk.ok()) << disk.status();
    LogRule rule;
    rule.name = "orders";
    rule.pattern = pattern;
    auto log = ServedLog::Open(
        *std::move(disk), rule, options_, /*workers=*/1,
        [this](size_t, absl::Duration, std::function<void()> task) {
          tasks_.Post(std::move(task));
        });
    ASSERT_TRUE(log.ok()) << log.status();
    log_ = *std::move(log);
    table_.SetLogs(LogTable({{pattern, log_}}));
    router_.Refresh();
  }

  static void End(Session& session) {
    session.EndSubscriptions();
    session.EndMemberships();
    session.Release();
  }

  uint64_t Store(const std::vector<TestMessage>& messages) {
    const uint64_t first = AppendMessages(log_->log(), messages);
    const absl::Time deadline = absl::Now() + absl::Seconds(60);
    while (log_->committed_offset() < first + messages.size() - 1 &&
           absl::Now() < deadline) {
    }
    EXPECT_GE(log_->committed_offset(), first + messages.size() - 1);
    return first;
  }

  static pb::Subscribe Reading(const std::string& pattern, uint64_t id = 1) {
    pb::Subscribe subscribe;
    subscribe.set_request_id(id);
    subscribe.set_pattern(pattern);
    subscribe.mutable_start()->set_first(true);
    return subscribe;
  }
  static pb::Subscribe Durable(const std::string& pattern,
                               const std::string& name, uint64_t id = 1) {
    pb::Subscribe subscribe = Reading(pattern, id);
    subscribe.set_durable(name);
    return subscribe;
  }
  static std::string Bytes(const pb::Subscribe& subscribe) {
    pb::Frame frame;
    *frame.mutable_subscribe() = subscribe;
    return ControlFrame(frame);
  }
  static std::string Done(uint64_t subscription, uint64_t up_to) {
    std::string frame;
    AppendPositionAckFrame(subscription, up_to, frame);
    return frame;
  }

  // The next frame that the client gets.
  pb::Frame Await() {
    tasks_.RunUntil([this] { return !sink_->written.empty(); });
    return Answer();
  }
  // The same; a message that was read out of a log.
  struct ReadMessage {
    uint64_t offset = 0;
    std::string payload;
    bool operator==(const ReadMessage&) const = default;
  };
  ReadMessage AwaitMessage() {
    const pb::Frame delivery = Await();
    EXPECT_TRUE(delivery.has_delivery()) << delivery.ShortDebugString();
    EXPECT_GT(delivery.delivery().stored_time_unix_nanos(), 0u);
    return {delivery.delivery().offset(), Answer().message().payload()};
  }
  void ExpectRefusal(const pb::Subscribe& subscribe, pb::Error::Code code) {
    EXPECT_EQ(Feed(Bytes(subscribe)).outcome, FeedOutcome::kContinue);
    const pb::Frame answer = Await();
    EXPECT_EQ(answer.error().code(), code) << answer.ShortDebugString();
    EXPECT_EQ(answer.error().request_id(), subscribe.request_id());
    EXPECT_FALSE(answer.error().text().empty());
  }
  // Subscribes and takes the answer, CaughtUp and all messages before it.
  std::vector<uint64_t> Replay(const pb::Subscribe& subscribe) {
    EXPECT_EQ(Feed(Bytes(subscribe)).outcome, FeedOutcome::kContinue);
    pb::Frame frame = Await();
    EXPECT_TRUE(frame.has_subscribed()) << frame.ShortDebugString();
    std::vector<uint64_t> offsets;
    for (frame = Await(); frame.has_delivery(); frame = Await()) {
      offsets.push_back(frame.delivery().offset());
      EXPECT_TRUE(Answer().has_message());
    }
    EXPECT_EQ(frame.caught_up().request_id(), subscribe.request_id());
    return offsets;
  }

  // A session that has said Hello.
  Other& Add(uint64_t number) {
    Other& other = others_.emplace_back();
    other.egress = std::make_shared<Egress>(
        ids_.Acquire(), EgressFormat::kFrames, options_, other.sink, counters_);
    other.session = std::make_unique<Session>(
        number,
        SessionContext{options_, table_, router_, counters_, stats_,
                       on_subscribed_, retained_, groups_, publishers_, 0},
        other.egress);
    other.session->SetValve(std::make_shared<FakeValve>());
    EXPECT_EQ(FeedTo(other, Hello()).outcome, FeedOutcome::kContinue);
    other.sink->written.clear();
    return other;
  }
  static FeedResult FeedTo(Other& other, const std::string& bytes) {
    const ChunkRef chunk = Chunk::CopyOf(bytes);
    return other.session->OnBytes(chunk, {chunk->bytes(), bytes.size()});
  }
  // The frames that it was sent, once there are so many.
  std::vector<pb::Frame> AwaitFrames(Other& other, size_t count) {
    tasks_.RunUntil(
        [&] { return Split(other.sink->written).frames.size() >= count; });
    std::vector<pb::Frame> frames;
    for (const std::string& bytes : Split(other.sink->written).frames) {
      frames.push_back(Parse(bytes));
    }
    return frames;
  }

  std::filesystem::path folder_;
  PostedTasks tasks_;
  std::shared_ptr<ServedLog> log_;
  std::deque<Other> others_;
  std::string fenced_;
  bool closed_ = false;
};

}  // namespace fifobus

#endif  // FIFOBUS_TESTS_SUPPORT_READING_SESSION_FIXTURE_H_
