// Everything at once on a real bus: slow, fast, stuck and leaving subscribers,
// several publishers, mixed sizes, small pipes. Each message is received or
// announced as lost, for each subscriber, to the message.

#include <atomic>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "fmt/format.h"
#include "gtest/gtest.h"
#include "tests/support/bus_support.h"

namespace fifobus {
namespace {

constexpr int kPublishers = 4;
constexpr int kMessages = 3000;  // of each publisher

// What one subscriber saw.
struct Account {
  uint64_t received = 0;
  uint64_t announced = 0;
  std::map<int, int> next;  // by publisher
};

// "PUBLISHER NUMBER padding", so that order and gaps can be checked.
std::string Payload(int publisher, int number, size_t padding) {
  return fmt::format("{} {} {}", publisher, number, std::string(padding, 'x'));
}

// Receives to the end, which is one message from each publisher on "end".
void Drain(Client& client, absl::Duration pause, uint32_t seed,
           Account& account) {
  std::mt19937 random(seed);
  int ends = 0;
  while (ends < kPublishers) {
    const Received got = client.Receive(absl::Now() + kHang);
    if (got.outcome == ReceiveOutcome::kGap) {
      ASSERT_EQ(got.gap.reason, GapReason::kOverflow);
      account.announced += got.gap.messages;
      continue;
    }
    ASSERT_EQ(got.outcome, ReceiveOutcome::kMessage) << client.status();
    if (got.message.topic == "end") {
      ++ends;
      continue;
    }
    const std::string payload(got.message.payload);
    const int publisher = std::stoi(payload);
    const int number = std::stoi(payload.substr(payload.find(' ')));
    int& next = account.next[publisher];
    ASSERT_GE(number, next) << "twice, or out of order";
    next = number + 1;
    ++account.received;
    if (pause > absl::ZeroDuration() && random() % 50 == 0) {
      absl::SleepFor(pause);
    }
  }
}

void PublishLoad(const TestBus& bus, int publisher) {
  std::mt19937 random(static_cast<uint32_t>(publisher));
  const auto client = bus.Connect();
  for (int i = 0; i < kMessages; ++i) {
    const size_t padding =
        random() % 100 == 0 ? random() % 100000 : random() % 500;
    const std::string topic = fmt::format("load/{}", random() % 3);
    if (random() % 4 == 0) {
      const Batch batch(*client);
      ASSERT_EQ(client->Publish(topic, Payload(publisher, i, padding)),
                PublishOutcome::kSent);
    } else {
      ASSERT_EQ(client->Publish(topic, Payload(publisher, i, padding)),
                PublishOutcome::kSent);
    }
  }
  // What lies in the pipe when the client ends may be read behind what others
  // publish after that.
  ASSERT_TRUE(client->Ping(kHang).ok());
}

TEST(Load, ReceivedAndAnnouncedAddUpForSlowFastAndStuckSubscribers) {
  BrokerOptions options;
  options.workers = 3;
  options.stall_timeout = absl::Milliseconds(20);
  options.egress_queue_bytes_max = 100000;
  options.session_pipe_bytes = 4096;
  options.grown_pipes_bytes_max = 0;
  options.staged_bytes_min = 1000;
  options.staged_total_bytes_min = 4000;
  const TestBus bus(options);

  // The first is as fast as it can be, the second slow now and then, the third
  // asleep until everything is published, the others as the first.
  const std::vector<absl::Duration> pauses = {
      absl::ZeroDuration(), absl::Milliseconds(2), absl::ZeroDuration(),
      absl::ZeroDuration(), absl::ZeroDuration()};
  std::vector<Account> accounts(pauses.size());
  std::atomic<bool> published{false};
  std::vector<std::unique_ptr<Client>> clients;
  for (size_t i = 0; i < pauses.size(); ++i) {
    clients.push_back(bus.Subscribe("load/*"));
    ASSERT_TRUE(clients.back()->Subscribe("end", kHang).ok());
  }
  std::vector<std::thread> subscribers;
  for (size_t i = 0; i < pauses.size(); ++i) {
    subscribers.emplace_back([&, i] {
      if (i == 2) {
        ASSERT_TRUE(WaitUntil([&] { return published.load(); }));
      }
      Drain(*clients[i], pauses[i], static_cast<uint32_t>(i), accounts[i]);
    });
  }
  // Others come and go meanwhile.
  std::thread passers([&] {
    while (!published) {
      const auto client = bus.Subscribe("load/**");
      (void)client->Receive(absl::Now() + absl::Milliseconds(5));
    }
  });
  std::vector<std::thread> publishers;
  for (int i = 0; i < kPublishers; ++i) {
    publishers.emplace_back([&, i] { PublishLoad(bus, i); });
  }
  for (std::thread& publisher : publishers) publisher.join();
  published = true;
  passers.join();
  // A stalled subscriber must not drop the messages that mark the end. So they
  // are published when all before them is read or dropped.
  const auto ender = bus.Connect();
  for (int i = 0; i < kPublishers; ++i) {
    ASSERT_EQ(ender->Publish("end", "x"), PublishOutcome::kSent);
  }
  for (std::thread& subscriber : subscribers) subscriber.join();
  for (const Account& account : accounts) {
    EXPECT_EQ(account.received + account.announced,
              uint64_t{kPublishers} * kMessages)
        << account.received << " received";
  }
  EXPECT_GT(accounts[2].announced, 0u) << "it was stuck";
}

}  // namespace
}  // namespace fifobus
