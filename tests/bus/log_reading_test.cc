// Reading logs with a whole broker and the client library.

#include <atomic>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "tests/support/bus_support.h"

namespace fifobus {
namespace {

class LogReadingTest : public testing::Test {
 protected:
  LogReadingTest() {
    rule_.name = "orders";
    rule_.pattern = "orders/**";
    options_.state_dir = state_.path();
    options_.drain_timeout = absl::Milliseconds(100);
    options_.workers = 2;
  }

  void Start() {
    options_.logs = {rule_};
    bus_ = std::make_unique<TestBus>(options_);
  }

  // Publishes numbers on the topics orders/0 to orders/2, and has them stored.
  static void Publish(Client& client, int first, int count) {
    for (int i = first; i < first + count; ++i) {
      ASSERT_EQ(
          client.Publish("orders/" + std::to_string(i % 3), std::to_string(i)),
          PublishOutcome::kSent);
    }
    const auto level = client.Flush(Level::kStored, kHang);
    ASSERT_TRUE(level.ok()) << level.status();
    ASSERT_EQ(*level, Level::kStored);
  }

  static SubscribeOptions From(const fifobus::Start& start) {
    SubscribeOptions options;
    options.start = start;
    return options;
  }
  static SubscribeOptions Durable(const std::string& name) {
    SubscribeOptions options;
    options.durable = name;
    return options;
  }

  std::unique_ptr<Client> Read(const std::string& pattern,
                               const SubscribeOptions& options) const {
    auto client = bus_->Connect();
    const absl::Status status = client->Subscribe(pattern, options, kHang);
    EXPECT_TRUE(status.ok()) << status;
    return client;
  }

  // Receives up to `count` messages, which have neighbouring offsets unless the
  // pattern leaves some out. Returns the payloads as numbers.
  static std::vector<int> Receive(Client& client, size_t count) {
    std::vector<int> numbers;
    uint64_t offset = 0;
    while (numbers.size() < count) {
      const Received received = client.Receive(kHang);
      if (received.outcome == ReceiveOutcome::kCaughtUp) continue;
      EXPECT_EQ(received.outcome, ReceiveOutcome::kMessage) << client.status();
      if (received.outcome != ReceiveOutcome::kMessage) break;
      EXPECT_GT(received.delivery.offset, offset);
      offset = received.delivery.offset;
      numbers.push_back(std::stoi(std::string(received.message.payload)));
    }
    return numbers;
  }
  static std::vector<int> Numbers(int first, int count, int step = 1) {
    std::vector<int> numbers;
    for (int i = 0; i < count; ++i) numbers.push_back(first + i * step);
    return numbers;
  }

  pb::StatsReply::Reader ReaderStats() const {
    const pb::StatsReply stats = bus_->broker().CollectStats();
    return stats.logs(0).readers_size() == 0 ? pb::StatsReply::Reader()
                                             : stats.logs(0).readers(0);
  }

  const TempDir state_;
  BrokerOptions options_;
  LogRule rule_;
  std::unique_ptr<TestBus> bus_;
};

TEST_F(LogReadingTest, ReplayAndWhatComesJoinWhenReadersComeInBetween) {
  options_.log_segment_bytes = 20'000;
  Start();
  constexpr int kMessages = 3000;
  std::thread publisher([&] {
    const auto client = bus_->Connect();
    for (int i = 0; i < kMessages; i += 50) Publish(*client, i, 50);
  });
  std::vector<std::thread> readers;
  for (int i = 0; i < 6; ++i) {
    readers.emplace_back([&, i] {
      const bool whole = i % 2 == 0;
      const auto client =
          Read(whole ? "orders/**" : "orders/1", From(fifobus::Start::First()));
      EXPECT_EQ(Receive(*client, whole ? kMessages : kMessages / 3),
                whole ? Numbers(0, kMessages) : Numbers(1, kMessages / 3, 3));
    });
  }
  publisher.join();
  for (std::thread& reader : readers) reader.join();
}

TEST_F(LogReadingTest, UntilNowEndsAndTheLastAreTheLast) {
  Start();
  const auto client = bus_->Connect();
  Publish(*client, 0, 100);
  SubscribeOptions options = From(fifobus::Start::Last(10));
  options.until_now = true;
  const auto reader = Read("orders/**", options);
  EXPECT_EQ(Receive(*reader, 10), Numbers(90, 10));
  EXPECT_EQ(reader->Receive(kHang).outcome, ReceiveOutcome::kCaughtUp);
}

TEST_F(LogReadingTest, AReaderThatDoesNotReadHoldsUpNobody) {
  options_.log_segment_bytes = size_t{1} << 20;
  Start();
  const auto slow = Read("orders/**", From(fifobus::Start::First()));
  const auto client = bus_->Connect();
  const std::string payload(10'000, 'x');
  constexpr int kMessages = 1000;
  for (int i = 0; i < kMessages; ++i) {
    ASSERT_EQ(client->Publish("orders/0", payload), PublishOutcome::kSent);
  }
  ASSERT_TRUE(client->Flush(Level::kStored, kHang).status().ok());
  EXPECT_EQ(bus_->Count("egress_stalls"), 0u);
  ASSERT_EQ(slow->Receive(kHang).outcome, ReceiveOutcome::kCaughtUp);
  for (int i = 0; i < kMessages; ++i) {
    const Received received = slow->Receive(kHang);
    ASSERT_EQ(received.outcome, ReceiveOutcome::kMessage);
    ASSERT_EQ(received.delivery.offset, static_cast<uint64_t>(i + 1));
  }
}

TEST_F(LogReadingTest, ADurableReaderGoesOnAfterARestart) {
  Start();
  {
    const auto client = bus_->Connect();
    Publish(*client, 0, 100);
    const auto reader = Read("orders/**", Durable("billing"));
    EXPECT_EQ(Receive(*reader, 40), Numbers(0, 40));
  }  // says that the first 39 are done
  ASSERT_TRUE(WaitUntil([&] { return ReaderStats().sessions_size() == 0; }));
  EXPECT_EQ(ReaderStats().position(), 40u);
  EXPECT_EQ(ReaderStats().lag(), 61u);
  bus_->Restart();
  EXPECT_EQ(ReaderStats().position(), 40u);
  const auto reader = Read("orders/**", Durable("billing"));
  EXPECT_EQ(Receive(*reader, 61), Numbers(39, 61));
}

TEST_F(LogReadingTest, TheFormerSessionOfADurableReaderIsToldAndEnds) {
  Start();
  const auto client = bus_->Connect();
  Publish(*client, 0, 10);
  const auto former = Read("orders/**", Durable("billing"));
  EXPECT_EQ(Receive(*former, 5), Numbers(0, 5));
  const auto next = Read("orders/**", Durable("billing"));
  EXPECT_EQ(Receive(*next, 1).size(), 1u);
  ReceiveOutcome outcome = ReceiveOutcome::kMessage;
  while (outcome == ReceiveOutcome::kMessage ||
         outcome == ReceiveOutcome::kCaughtUp) {
    outcome = former->Receive(kHang).outcome;
  }
  EXPECT_EQ(outcome, ReceiveOutcome::kDisconnected);
  EXPECT_EQ(former->status().code(), absl::StatusCode::kAborted)
      << former->status();
}

TEST_F(LogReadingTest, WhatAllDurableReadersHaveDoneIsNotKept) {
  rule_.keep_until = LogRule::KeepUntil::kDone;
  options_.log_segment_bytes = 5000;
  options_.log_retention_interval = absl::Milliseconds(5);
  Start();
  const auto client = bus_->Connect();
  const auto reader = Read("orders/**", Durable("billing"));
  for (int i = 0; i < 1000; i += 20) Publish(*client, i, 20);
  EXPECT_EQ(bus_->broker().CollectStats().logs(0).first_offset(), 1u);
  EXPECT_EQ(Receive(*reader, 1000), Numbers(0, 1000));
  // The last one is done when the next call says so.
  Publish(*client, 1000, 1);
  EXPECT_EQ(Receive(*reader, 1), Numbers(1000, 1));
  ASSERT_TRUE(WaitUntil([&] {
    return bus_->broker().CollectStats().logs(0).first_offset() > 900;
  }));
}

}  // namespace
}  // namespace fifobus
