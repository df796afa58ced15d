// kill -9 of a broker, again and again, while named publishers store. Each
// message that was confirmed as stored must be in the log exactly once.

#include <signal.h>

#include <atomic>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "clients/cpp/bus_locator.h"
#include "clients/cpp/client.h"
#include "fmt/format.h"
#include "gtest/gtest.h"
#include "tests/support/bus_support.h"
#include "tests/support/log_broker.h"
#include "tests/support/log_messages.h"
#include "tests/support/process.h"

namespace fifobus {
namespace {

class LogBrokerKillTest : public LogBrokerTest {
 protected:
  // Stores one message after the other until `done`, each again and again until
  // it is confirmed. Returns how many those were.
  uint64_t Publish(const std::string& publisher,
                   const std::atomic<bool>& done) const {
    const auto client = Connect(publisher);
    uint64_t sequence = 0;
    while (!done) {
      ++sequence;
      const std::string payload = fmt::format("{}:{}", publisher, sequence);
      MessageFields fields;
      fields.topic = "orders/a";
      fields.payload = payload;
      fields.sequence = sequence;
      const absl::Time deadline = absl::Now() + kHang;
      while (!client->PublishConfirmed(fields, Level::kStored, kHang).ok()) {
        if (absl::Now() < deadline) continue;  // the broker was killed
        ADD_FAILURE() << "not stored: " << payload;
        return sequence - 1;
      }
    }
    return sequence;
  }
};

TEST_F(LogBrokerKillTest, WhatWasConfirmedAsStoredIsThereOnce) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  Serve();
  constexpr int kPublishers = 3;
  std::atomic<bool> done{false};
  std::vector<uint64_t> confirmed(kPublishers);
  std::vector<std::thread> threads;
  for (int i = 0; i < kPublishers; ++i) {
    threads.emplace_back(
        [&, i] { confirmed[i] = Publish(fmt::format("till-{}", i), done); });
  }
  for (int kill = 0; kill < 15; ++kill) {
    // At whatever it is doing then.
    absl::SleepFor(absl::Microseconds(random() % 200000));
    broker_->Signal(SIGKILL);
    EXPECT_EQ(broker_->Wait(), -SIGKILL);
    Serve();
  }
  done = true;
  for (std::thread& thread : threads) thread.join();
  broker_->Signal(SIGTERM);
  EXPECT_EQ(broker_->Wait(), 0) << ReadFile(log_);

  std::map<std::string, uint64_t> last;
  for (const LogMessage& message : MessagesInLog(state_, "orders")) {
    const std::string publisher =
        message.payload.substr(0, message.payload.find(':'));
    EXPECT_EQ(message.payload,
              fmt::format("{}:{}", publisher, message.sequence));
    EXPECT_EQ(message.sequence, ++last[publisher]) << message.offset;
  }
  for (int i = 0; i < kPublishers; ++i) {
    EXPECT_GT(confirmed[i], 0u);
    EXPECT_EQ(last[fmt::format("till-{}", i)], confirmed[i]);
  }
}

}  // namespace
}  // namespace fifobus
