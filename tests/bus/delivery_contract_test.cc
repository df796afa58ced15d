// The delivery contract, to the message: subscribers of every overflow policy
// that are fast, slow, stuck, dying and coming back, on one bus of real FIFOs.
// For each of them, what it received and what was announced to it as lost are
// all that was published; and every message of an acknowledging group is worked
// on, though its members die.

#include <atomic>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "clients/cpp/client.h"
#include "fmt/format.h"
#include "gtest/gtest.h"
#include "tests/support/bus_support.h"

namespace fifobus {
namespace {

constexpr int kPublishers = 3;
constexpr uint64_t kMessages = 2000;  // of each publisher

uint32_t Seed() {
  const uint32_t seed = std::random_device()();
  std::cout << "seed " << seed << std::endl;
  return seed;
}

// "load/2" is the topic of publisher 2, whose messages are numbered from 0.
std::string TopicOf(int publisher) { return fmt::format("load/{}", publisher); }

// What one session saw of one publisher. Numbers are contiguous if announced
// losses are counted in.
class Account {
 public:
  // Knows nothing of what was before the first event.
  Account() = default;
  // Expects all from number 0 on.
  explicit Account(uint64_t next) : next_(next), known_(true) {}

  void OnMessage(uint64_t number) {
    if (known_) {
      EXPECT_EQ(number, next_) << "lost silently, twice, or out of order";
    }
    known_ = true;
    next_ = number + 1;
  }
  void OnLoss(uint64_t messages) {
    if (known_) next_ += messages;
  }
  uint64_t next() const { return next_; }

 private:
  uint64_t next_ = 0;
  bool known_ = false;
};

using Accounts = std::map<std::string, Account>;

// Returns how many were announced as lost.
uint64_t Enter(const Received& got, Accounts& accounts) {
  if (got.outcome == ReceiveOutcome::kMessage) {
    accounts[std::string(got.message.topic)].OnMessage(
        std::stoull(std::string(got.message.payload)));
    return 0;
  }
  EXPECT_EQ(got.outcome, ReceiveOutcome::kGap);
  uint64_t by_topic = 0;
  for (const Gap::Loss& loss : got.gap.losses) {
    accounts[loss.topic].OnLoss(loss.messages);
    by_topic += loss.messages;
  }
  EXPECT_EQ(by_topic, got.gap.messages);
  return got.gap.messages;
}

bool IsComplete(const Accounts& accounts) {
  for (const auto& [topic, account] : accounts) {
    if (account.next() < kMessages) return false;
  }
  return true;
}

// A subscriber from the beginning to the end.
enum class Pace { kFast, kSlow, kStuck };
struct Whole {
  Overflow overflow;
  Pace pace;
  std::unique_ptr<Client> client;
  uint64_t announced = 0;
};

// Receives until it has all, or has been told of what it has not.
void ReceiveAll(Whole& whole, uint32_t seed) {
  SCOPED_TRACE(fmt::format("policy {} pace {}",
                           static_cast<int>(whole.overflow),
                           static_cast<int>(whole.pace)));
  std::mt19937 random(seed);
  Accounts accounts;
  for (int i = 0; i < kPublishers; ++i) accounts[TopicOf(i)] = Account(0);
  while (!IsComplete(accounts)) {
    const Received got = whole.client->Receive(absl::Now() + kHang);
    ASSERT_TRUE(got.outcome == ReceiveOutcome::kMessage ||
                got.outcome == ReceiveOutcome::kGap)
        << "silently lost: " << whole.client->status();
    whole.announced += Enter(got, accounts);
    if (whole.pace == Pace::kSlow && random() % 100 == 0) {
      absl::SleepFor(absl::Milliseconds(1));
    }
  }
  for (const auto& [topic, account] : accounts) {
    EXPECT_EQ(account.next(), kMessages) << topic;
  }
}

enum class Expiry { kNever, kSome };

void PublishLoad(const TestBus& bus, int publisher, uint32_t seed,
                 Expiry expiry) {
  std::mt19937 random(seed);
  const auto client = bus.Connect();
  for (uint64_t number = 0; number < kMessages; ++number) {
    const size_t padding =
        random() % 100 == 0 ? random() % 50000 : random() % 300;
    const std::string payload =
        fmt::format("{} {}", number, std::string(padding, 'x'));
    MessageFields fields;
    const std::string topic = TopicOf(publisher);
    fields.topic = topic;
    fields.payload = payload;
    // Some are dead before they are delivered.
    if (expiry == Expiry::kSome && random() % 50 == 0) {
      fields.expiry_unix_nanos = 1;
    }
    ASSERT_EQ(client->Publish(fields), PublishOutcome::kSent);
  }
}

class ContractTest : public testing::Test {
 protected:
  static BrokerOptions Options() {
    BrokerOptions options;
    options.workers = 3;
    options.stall_timeout = absl::Milliseconds(20);
    options.session_pipe_bytes = 4096;
    options.grown_pipes_bytes_max = 0;
    options.staged_bytes_min = 1000;
    options.staged_total_bytes_min = 4000;
    return options;
  }

  std::unique_ptr<Client> Join(Overflow overflow) const {
    ClientOptions options;
    options.overflow = overflow;
    options.queue_bytes_max = 50'000;
    options.queue_messages_max = 300;
    auto client = bus_.Connect(options);
    EXPECT_TRUE(client->Subscribe("load/*", kHang).ok());
    return client;
  }

  static void PublishAll(const TestBus& bus, uint32_t seed, Expiry expiry) {
    std::vector<std::thread> publishers;
    for (int i = 0; i < kPublishers; ++i) {
      publishers.emplace_back([&bus, i, seed, expiry] {
        PublishLoad(bus, i, seed + static_cast<uint32_t>(i), expiry);
      });
    }
    for (std::thread& publisher : publishers) publisher.join();
  }

  const TestBus bus_{Options()};
  std::atomic<bool> published_{false};
};

TEST_F(ContractTest, ReceivedAndAnnouncedAreAllThatWasPublished) {
  const uint32_t seed = Seed();
  std::vector<Whole> wholes;
  for (const Overflow overflow :
       {Overflow::kDropOldest, Overflow::kDropNewest, Overflow::kLatest}) {
    for (const Pace pace : {Pace::kFast, Pace::kSlow, Pace::kStuck}) {
      wholes.push_back({overflow, pace, Join(overflow)});
    }
  }
  wholes.push_back({Overflow::kBlock, Pace::kSlow, Join(Overflow::kBlock)});

  std::vector<std::thread> threads;
  for (Whole& whole : wholes) {
    threads.emplace_back([&] {
      if (whole.pace == Pace::kStuck) {
        ASSERT_TRUE(WaitUntil([&] { return published_.load(); }));
      }
      ReceiveAll(whole, seed);
    });
  }
  // These leave in the middle, by their own will or by the broker's, and come
  // back as others.
  for (const Overflow overflow :
       {Overflow::kDisconnect, Overflow::kLatest, Overflow::kDropOldest}) {
    threads.emplace_back([&, overflow] {
      SCOPED_TRACE(
          fmt::format("policy {}, comes back", static_cast<int>(overflow)));
      std::mt19937 random(seed + 1);
      while (!published_) {
        const auto client = Join(overflow);
        Accounts accounts;
        for (uint32_t left = random() % 1000; left > 0; --left) {
          const Received got =
              client->Receive(absl::Now() + absl::Milliseconds(20));
          if (got.outcome != ReceiveOutcome::kMessage &&
              got.outcome != ReceiveOutcome::kGap) {
            break;
          }
          (void)Enter(got, accounts);
          if (random() % 300 == 0) absl::SleepFor(absl::Milliseconds(50));
        }
      }
    });
  }
  PublishAll(bus_, seed, Expiry::kSome);
  published_ = true;
  for (std::thread& thread : threads) thread.join();
  for (const Whole& whole : wholes) {
    if (whole.pace == Pace::kStuck) {
      EXPECT_GT(whole.announced, 0u);
    }
  }
}

TEST_F(ContractTest, EveryMessageOfAnAcknowledgingGroupIsWorkedOn) {
  const uint32_t seed = Seed();
  // Publishers wait for the group: a Gap would be one member's, and could die
  // with it.
  BrokerOptions broker_options = Options();
  broker_options.stall_timeout = kHang;
  const TestBus bus(broker_options);
  SubscribeOptions options;
  options.group = "workers";
  options.acks.emplace();
  options.acks->unacked_max = 20;
  options.acks->deliveries_max = 1000;
  std::mutex mutex;
  std::set<std::string> done;  // "TOPIC NUMBER"
  std::atomic<uint64_t> gaps{0};
  const auto join = [&] {
    auto client = bus.Connect();
    EXPECT_TRUE(client->Subscribe("load/*", options, kHang).ok());
    return client;
  };
  const auto keeper = join();  // so that the group lives from now on
  std::atomic<bool> over{false};
  std::vector<std::thread> members;
  for (int i = 0; i < 3; ++i) {
    members.emplace_back([&, i] {
      std::mt19937 random(seed + static_cast<uint32_t>(i));
      while (!over) {
        const auto client = join();
        for (uint32_t left = random() % 500; left > 0 && !over; --left) {
          const Received got =
              client->Receive(absl::Now() + absl::Milliseconds(10));
          if (got.outcome == ReceiveOutcome::kGap) ++gaps;
          if (got.outcome != ReceiveOutcome::kMessage) continue;
          if (random() % 20 == 0) {
            client->Retry(got.delivery.ack_id);
            continue;
          }
          const std::string payload(got.message.payload);
          {
            const std::lock_guard<std::mutex> lock(mutex);
            done.insert(
                fmt::format("{} {}", got.message.topic, std::stoull(payload)));
          }
          client->Ack(got.delivery.ack_id);
        }
        // Leaves with what it holds unanswered.
      }
    });
  }
  std::thread keeping([&] {
    while (!over) {
      const Received got =
          keeper->Receive(absl::Now() + absl::Milliseconds(10));
      if (got.outcome == ReceiveOutcome::kGap) ++gaps;
      if (got.outcome == ReceiveOutcome::kMessage) {
        keeper->Retry(got.delivery.ack_id);
      }
    }
  });
  PublishAll(bus, seed, Expiry::kNever);
  EXPECT_TRUE(WaitUntil([&] {
    const std::lock_guard<std::mutex> lock(mutex);
    return done.size() == kPublishers * kMessages;
  }));
  over = true;
  for (std::thread& member : members) member.join();
  keeping.join();
  EXPECT_EQ(gaps, 0u);
}

}  // namespace
}  // namespace fifobus
