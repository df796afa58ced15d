// Publishing on topics that a log stores, with a whole broker.

#include <signal.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "proto/frame_writer.h"
#include "proto/version.h"
#include "tests/support/bus_support.h"
#include "tests/support/log_messages.h"

namespace fifobus {
namespace {

constexpr auto kStored = pb::Confirm::LEVEL_STORED;

std::string Numbered(std::string_view topic, uint64_t sequence,
                     std::string_view payload = "x") {
  MessageFields fields;
  fields.topic = topic;
  fields.payload = payload;
  fields.sequence = sequence;
  fields.confirm_id = sequence;
  fields.confirm_level = kStored;
  std::string frame;
  AppendMessageFrame(fields, frame);
  return frame;
}

std::string NamedHello(const std::string& publisher) {
  pb::Frame frame;
  frame.mutable_hello()->set_protocol_version(kProtocolVersion);
  frame.mutable_hello()->set_publisher(publisher);
  return ControlFrame(frame);
}

std::string GoodbyeFrame() {
  pb::Frame frame;
  frame.mutable_goodbye();
  return ControlFrame(frame);
}

class LogPublishingTest : public testing::Test {
 protected:
  LogPublishingTest() {
    StartLog(LogLevel::kInfo);
    signal(SIGPIPE, SIG_IGN);  // of sessions that are fenced
    options_.drain_timeout = absl::Milliseconds(100);
  }

  void Start(absl::Duration sync_interval = absl::ZeroDuration()) {
    options_.dir = dir_.path() + "/bus";
    options_.state_dir = dir_.path() + "/state";
    options_.workers = 4;
    LogRule rule;
    rule.name = "orders";
    rule.pattern = "orders/**";
    rule.sync_interval = sync_interval;
    options_.logs = {rule};
    Restart();
  }
  void Restart() {
    broker_.reset();
    auto broker = Broker::Start(options_);
    ASSERT_TRUE(broker.ok()) << broker.status();
    broker_ = *std::move(broker);
  }

  std::vector<LogMessage> Stored() {
    broker_.reset();
    return MessagesInLog(options_.state_dir, "orders");
  }

  uint64_t Count(std::string_view counter) const {
    const pb::StatsReply stats = broker_->CollectStats();
    for (const auto& entry : stats.counters()) {
      if (entry.name() == counter) return entry.value();
    }
    ADD_FAILURE() << "no counter " << counter;
    return 0;
  }

  const TempDir dir_;
  BrokerOptions options_;
  std::unique_ptr<Broker> broker_;
};

// More confirms than a pipe holds.
TEST_F(LogPublishingTest, AClientThatSaysGoodbyeGetsWhatIsOwedBeforeTheEnd) {
  Start(absl::Milliseconds(300));
  RawSession session(options_.dir);
  session.Greet();
  constexpr uint64_t kMessages = 8000;
  std::string frames;
  for (uint64_t i = 1; i <= kMessages; ++i) {
    frames += Numbered("orders/a", i);
  }
  session.Write(frames + GoodbyeFrame());
  session.CloseUp();
  for (uint64_t i = 1; i <= kMessages; ++i) {
    const pb::Confirm confirm = session.Next().confirm();
    ASSERT_EQ(confirm.confirm_id(), i);
    ASSERT_EQ(confirm.level(), kStored);
    ASSERT_EQ(confirm.offset(), i);
  }
  EXPECT_TRUE(session.AtEnd());
  EXPECT_EQ(Stored().size(), kMessages);
}

TEST_F(LogPublishingTest, AStoppingBrokerAnswersBeforeItCloses) {
  options_.drain_timeout = kHang;
  Start(absl::Milliseconds(200));
  RawSession session(options_.dir);
  session.Greet();
  session.Write(Numbered("orders/a", 1));
  ASSERT_TRUE(WaitUntil([&] { return Count("messages_stored") == 1; }));
  std::thread stopping([this] { broker_.reset(); });
  std::vector<pb::Frame> frames;
  while (true) {
    frames.push_back(session.Next());
    if (frames.back().has_goodbye()) session.CloseUp();
    if (frames.back().member_case() == pb::Frame::MEMBER_NOT_SET) break;
  }
  stopping.join();
  bool confirmed = false;
  for (const pb::Frame& frame : frames) {
    if (!frame.has_confirm()) continue;
    confirmed = true;
    EXPECT_EQ(frame.confirm().level(), kStored);
  }
  EXPECT_TRUE(confirmed);
}

TEST_F(LogPublishingTest, AClientThatDiesOwesAndIsOwedNothing) {
  Start(absl::Hours(1));
  {
    RawSession session(options_.dir);
    session.Greet();
    session.Write(Numbered("orders/a", 1));
    ASSERT_TRUE(WaitUntil([&] { return Count("messages_stored") == 1; }));
  }
  EXPECT_TRUE(WaitUntil([&] { return Count("sessions_closed") == 1; }));
}

TEST_F(LogPublishingTest, LinesOfATapAreStoredWithoutASubscriber) {
  Start();
  const std::string folder = options_.dir + "/topics/orders";
  std::filesystem::create_directories(folder + "/a.out");
  const std::string in = folder + "/a.in";
  ASSERT_TRUE(WaitUntil([&] { return std::filesystem::is_fifo(in); }));
  std::ofstream(in) << "one\ntwo\n";
  ASSERT_TRUE(WaitUntil([&] { return Count("messages_stored") == 2; }));
  const std::vector<LogMessage> stored = Stored();
  ASSERT_EQ(stored.size(), 2u);
  EXPECT_EQ(stored[0].topic, "orders/a");
  EXPECT_EQ(stored[0].payload, "one");
  EXPECT_EQ(stored[1].payload, "two");
}

TEST_F(LogPublishingTest, ALaterSessionOfAPublisherEndsTheOlderOne) {
  Start();
  RawSession older(options_.dir);
  older.Greet(NamedHello("till-1"));
  RawSession newer(options_.dir);
  newer.Greet(NamedHello("till-1"));
  const pb::Frame answer = older.Next();
  EXPECT_EQ(answer.error().code(), pb::Error::CODE_FENCED);
  EXPECT_NE(answer.error().text().find("till-1"), std::string::npos);
  EXPECT_TRUE(older.AtEnd());
  newer.Write(Numbered("orders/a", 1));
  EXPECT_EQ(newer.Next().confirm().level(), kStored);
  EXPECT_EQ(Count("sessions_fenced"), 1u);
}

TEST_F(LogPublishingTest, TheNextBrokerKnowsWhereAPublisherStood) {
  Start();
  {
    RawSession session(options_.dir);
    session.Greet(NamedHello("till-1"));
    session.Write(Numbered("orders/a", 5));
    EXPECT_EQ(session.Next().confirm().level(), kStored);
  }
  Restart();
  RawSession session(options_.dir);
  session.Write(NamedHello("till-1"));
  const pb::Welcome welcome = session.Next().welcome();
  ASSERT_EQ(welcome.publisher_marks_size(), 1);
  EXPECT_EQ(welcome.publisher_marks(0).last_sequence(), 5u);
  session.CloseUpReader();
  session.Write(Numbered("orders/a", 5) + Numbered("orders/a", 6));
  EXPECT_TRUE(session.Next().confirm().duplicate());
  EXPECT_FALSE(session.Next().confirm().duplicate());
  EXPECT_EQ(Stored().size(), 2u);
}

// What was in the files is gone. What comes after that must not go with them.
TEST_F(LogPublishingTest, WhatIsStoredAfterALogsFilesWereRemovedIsThere) {
  Start();
  RawSession session(options_.dir);
  session.Greet();
  session.Write(Numbered("orders/a", 1));
  EXPECT_EQ(session.Next().confirm().level(), kStored);
  const std::string folder = options_.state_dir + "/logs/orders";
  std::vector<std::filesystem::path> files;
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    if (file.path().extension() == ".seg") files.push_back(file.path());
  }
  ASSERT_FALSE(files.empty());
  for (const auto& file : files) std::filesystem::remove(file);
  session.Write(Numbered("orders/a", 2, "after"));
  const pb::Confirm confirm = session.Next().confirm();
  EXPECT_EQ(confirm.level(), kStored);
  EXPECT_EQ(confirm.offset(), 2u);
  const std::vector<LogMessage> stored = Stored();
  ASSERT_EQ(stored.size(), 1u);
  EXPECT_EQ(stored[0].offset, 2u);
  EXPECT_EQ(stored[0].payload, "after");
}

TEST_F(LogPublishingTest, ALogWhoseFolderWasRemovedSaysThatItStoresNothing) {
  Start();
  RawSession session(options_.dir);
  session.Greet();
  session.Write(Numbered("orders/a", 1));
  EXPECT_EQ(session.Next().confirm().level(), kStored);
  std::filesystem::remove_all(options_.state_dir + "/logs/orders");
  session.Write(Numbered("orders/a", 2));
  EXPECT_EQ(session.Next().confirm().failure(),
            pb::Confirm::FAILURE_LOG_FAILED);
}

// Sessions of one name on all workers take it from each other while they
// publish. What each is told must be so: none of them ever publishes a repeat.
TEST_F(LogPublishingTest, SessionsThatTakeANameFromEachOtherStoreNothingTwice) {
  Start();
  constexpr int kThreads = 4;
  constexpr int kRounds = 25;
  constexpr uint64_t kMessages = 20;
  std::vector<std::set<std::string>> confirmed(kThreads);
  const auto run = [&](int thread) {
    for (int round = 0; round < kRounds; ++round) {
      RawSession session(options_.dir);
      session.Write(NamedHello("till-1"));
      const pb::Frame first = session.Next();
      session.CloseUpReader();
      if (!first.has_welcome()) continue;  // fenced at once
      uint64_t last = 0;
      for (const auto& mark : first.welcome().publisher_marks()) {
        last = mark.last_sequence();
      }
      const std::string payload = fmt::format("{}/{}", thread, round);
      for (uint64_t i = 1; i <= kMessages; ++i) {
        session.Write(Numbered("orders/a", last + i, payload));
      }
      for (uint64_t i = 1; i <= kMessages; ++i) {
        const pb::Frame answer = session.Next();
        if (!answer.has_confirm()) break;  // fenced
        EXPECT_FALSE(answer.confirm().duplicate());
        EXPECT_EQ(answer.confirm().level(), kStored);
        confirmed[thread].insert(
            fmt::format("{} {} {}", answer.confirm().confirm_id(),
                        answer.confirm().offset(), payload));
      }
    }
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) threads.emplace_back(run, i);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(Count("messages_duplicate"), 0u);
  std::set<std::string> stored;
  uint64_t last = 0;
  for (const LogMessage& message : Stored()) {
    EXPECT_EQ(message.sequence, ++last);
    stored.insert(fmt::format("{} {} {}", message.sequence, message.offset,
                              message.payload));
  }
  size_t confirms = 0;
  for (const auto& of_thread : confirmed) {
    for (const std::string& each : of_thread) {
      EXPECT_EQ(stored.count(each), 1u) << each;
      ++confirms;
    }
  }
  EXPECT_GE(confirms, kMessages) << "the last session is fenced by nobody";
}

}  // namespace
}  // namespace fifobus
