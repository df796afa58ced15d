// kill -9 of a broker while durable readers read: no message is missing, and
// what was done and written down does not come again.

#include <signal.h>

#include <atomic>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "clients/cpp/bus_locator.h"
#include "clients/cpp/client.h"
#include "gtest/gtest.h"
#include "tests/support/bus_support.h"
#include "tests/support/log_broker.h"
#include "tests/support/process.h"

namespace fifobus {
namespace {

constexpr int kMessages = 3000;

class LogReaderKillTest : public LogBrokerTest {
 protected:
  std::unique_ptr<Client> Read() const {
    auto client = Connect();
    SubscribeOptions options;
    options.durable = "billing";
    const absl::Status status = client->Subscribe("orders/**", options, kHang);
    EXPECT_TRUE(status.ok()) << status;
    return client;
  }

  void Publish(int count) const {
    const auto client = Connect();
    for (int i = 0; i < count; ++i) {
      ASSERT_EQ(client->Publish("orders/a", "x"), PublishOutcome::kSent);
    }
    ASSERT_TRUE(client->Flush(Level::kStored, kHang).ok());
  }

  // The next message's offset; 0: none came.
  static uint64_t Next(Client& client) {
    for (;;) {
      const Received received = client.Receive(kHang);
      if (received.outcome == ReceiveOutcome::kMessage) {
        return received.delivery.offset;
      }
      if (received.outcome == ReceiveOutcome::kCaughtUp) continue;
      ADD_FAILURE() << client.status();
      return 0;
    }
  }

  // The position in the file that a broker of these tests writes: behind 40
  // bytes, proto/LOG.md.
  uint64_t PositionOnDisk() const {
    const std::string bytes = ReadFile(state_ + "/logs/orders/readers");
    uint64_t position = 0;
    if (bytes.size() >= 48)
      bytes.copy(reinterpret_cast<char*>(&position), 8, 40);
    return position;
  }
};

TEST_F(LogReaderKillTest, WhatIsWrittenDownAsDoneDoesNotComeAgain) {
  Serve();
  Publish(100);
  {
    const auto reader = Read();
    for (uint64_t offset = 1; offset <= 61; ++offset) {
      ASSERT_EQ(Next(*reader), offset);
    }
    // Said when the next is waited for, or here.
    ASSERT_TRUE(reader->Unsubscribe("orders/**").ok());
  }
  ASSERT_TRUE(WaitUntil([&] { return PositionOnDisk() == 61; }))
      << PositionOnDisk();
  Kill();
  Serve();
  const auto reader = Read();
  EXPECT_EQ(Next(*reader), 61u);
}

TEST_F(LogReaderKillTest, AReaderMissesNothingWhenItsBrokerIsKilledAgain) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  Serve();
  Publish(kMessages);
  std::atomic<uint64_t> received{0};
  std::thread thread([&] {
    const auto reader = Read();
    uint64_t last = 0;
    while (last < kMessages) {
      const uint64_t offset = Next(*reader);
      // It may come again, and none is left out.
      if (offset == 0 || offset > last + 1) break;
      last = std::max(last, offset);
      received = last;
      if (offset % 16 == 0) absl::SleepFor(absl::Microseconds(200));
    }
  });
  for (int kill = 0; kill < 6; ++kill) {
    absl::SleepFor(absl::Microseconds(random() % 50000));
    Kill();
    Serve();
  }
  thread.join();
  EXPECT_EQ(received, static_cast<uint64_t>(kMessages));
}

}  // namespace
}  // namespace fifobus
