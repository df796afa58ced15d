// kill -9 of brokers and of readers, while a `cat` loop reads a durable tap and
// while the workers of a group read a log: each stored message is seen.

#include <signal.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "broker/base/mutex.h"
#include "clients/cpp/bus_locator.h"
#include "clients/cpp/client.h"
#include "fmt/format.h"
#include "gtest/gtest.h"
#include "tests/support/bus_support.h"
#include "tests/support/log_broker.h"
#include "tests/support/process.h"

namespace fifobus {
namespace {

class DurableKillTest : public LogBrokerTest {
 protected:
  // Stores "#1.", "#2." and so on, once each, over brokers that are killed.
  void StoreAll(uint64_t count, std::mt19937& random) {
    ClientOptions options = Options();
    options.publisher = "till";
    const auto client = *Client::Connect(options);
    uint64_t next_kill = 20;
    for (uint64_t number = 1; number <= count; ++number) {
      MessageFields fields;
      fields.topic = "orders/new";
      const std::string payload = fmt::format("#{}.", number);
      fields.payload = payload;
      fields.sequence = number;
      const absl::Time deadline = absl::Now() + kHang;
      while (!client->PublishConfirmed(fields, Level::kStored, kHang).ok()) {
        ASSERT_LT(absl::Now(), deadline) << "not stored: " << payload;
      }
      if (number == next_kill) {
        broker_->Signal(SIGKILL);
        broker_->Wait();
        Serve();
        next_kill += 10 + random() % 50;
      }
    }
  }
};

// The number of a line. What a killed broker has left of the one before has no
// newline, and stands in front.
uint64_t NumberOf(const std::string& line) {
  const size_t begin = line.rfind('#');
  if (begin == std::string::npos || !line.ends_with('.')) return 0;
  return std::stoull(line.substr(begin + 1));
}

TEST_F(DurableKillTest, ACatLoopGetsEachStoredLineInOrder) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  constexpr uint64_t kLines = 300;
  Serve();
  const std::string folder = bus_ + "/topics/orders/new.out";
  std::filesystem::create_directories(folder);
  MakeFifo(folder + "/me.durable");
  const std::string seen = dir_.path() + "/seen";
  // timeout(1) ends the whole group of the loop with itself.
  Process loop(
      {"timeout", "300", "sh", "-c",
       fmt::format("while :; do cat {}/me.durable >> {}; done", folder, seen)});
  StoreAll(kLines, random);
  const std::string last = fmt::format("#{}.\n", kLines);
  EXPECT_TRUE(WaitUntil([&] { return ReadFile(seen).ends_with(last); }))
      << ReadFile(log_);
  loop.Signal(SIGTERM);
  loop.Wait();
  uint64_t highest = 0;
  std::string text = ReadFile(seen);
  for (size_t end = text.find('\n'); end != std::string::npos;
       text.erase(0, end + 1), end = text.find('\n')) {
    const uint64_t number = NumberOf(text.substr(0, end));
    ASSERT_LE(number, highest + 1) << "lines were left out";
    highest = std::max(highest, number);
  }
  EXPECT_EQ(highest, kLines);
}

// What workers have done, and whether there is more to do.
struct Work {
  Mutex mutex;
  std::set<std::string> done ABSL_GUARDED_BY(mutex);
  std::atomic<bool> ended{false};

  size_t size() {
    const MutexLock lock(mutex);
    return done.size();
  }
};

// Reads in sessions that end without a word, after a few messages each.
void RunWorker(const ClientOptions& options, unsigned seed, Work& work) {
  std::mt19937 random(seed);
  SubscribeOptions subscribe;
  subscribe.durable = "billing";
  subscribe.group = "workers";
  subscribe.acks.emplace();
  subscribe.acks->unacked_max = 5;
  subscribe.acks->deliveries_max = 1000;
  while (!work.ended) {
    auto client = Client::Connect(options);
    if (!client.ok()) continue;
    if (!(*client)->Subscribe("orders/**", subscribe, kHang).ok()) continue;
    for (uint32_t left = random() % 40; left > 0 && !work.ended; --left) {
      const Received got =
          (*client)->Receive(absl::Now() + absl::Milliseconds(200));
      if (got.outcome != ReceiveOutcome::kMessage) continue;
      switch (random() % 5) {
        case 0:
          (*client)->Retry(got.delivery.ack_id);
          break;
        case 1:
          (*client)->Extend(got.delivery.ack_id);
          break;
        default: {
          const MutexLock lock(work.mutex);
          work.done.emplace(got.message.payload);
        }
          (*client)->Ack(got.delivery.ack_id);
      }
    }
  }
}

TEST_F(DurableKillTest, TheWorkersOfAGroupDoEachStoredMessage) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  constexpr uint64_t kMessages = 200;
  Serve();
  Work work;
  std::vector<std::thread> workers;
  for (unsigned i = 0; i < 3; ++i) {
    workers.emplace_back([&, i] { RunWorker(Options(), seed + i, work); });
  }
  StoreAll(kMessages, random);
  EXPECT_TRUE(WaitUntil([&] { return work.size() == kMessages; }))
      << work.size();
  work.ended = true;
  for (std::thread& worker : workers) worker.join();
}

}  // namespace
}  // namespace fifobus
