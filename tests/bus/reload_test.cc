// Topics' rules change while messages flow: nothing is lost by it, and a session
// that the new rules no longer allow is told so.

#include <sys/types.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "gtest/gtest.h"
#include "tests/support/bus_support.h"

namespace fifobus {
namespace {

constexpr int kPublishers = 2;
constexpr int kMessages = 5000;  // of each publisher
constexpr int kReloads = 200;    // at least

TopicRule RuleFor(std::string_view pattern) {
  TopicRule rule;
  rule.pattern = std::string(pattern);
  return rule;
}

// Everybody of this user may publish and subscribe, with another history.
std::vector<TopicRule> OpenRules(size_t history) {
  TopicRule rule = RuleFor("**");
  rule.history = history;
  rule.publish = Principals{.everyone = false, .uids = {getuid()}};
  rule.subscribe = Principals{.everyone = false, .uids = {getuid()}};
  return {rule};
}

std::vector<TopicRule> NobodySubscribesTo(std::string_view pattern) {
  TopicRule rule = RuleFor(pattern);
  rule.subscribe = Principals{};
  TopicRule open = RuleFor("**");
  open.subscribe = Principals{.everyone = true, .uids = {}};
  return {rule, open};
}

void PublishAll(const TestBus& bus, const std::string& topic) {
  const std::unique_ptr<Client> client = bus.Connect();
  for (int number = 0; number < kMessages; ++number) {
    ASSERT_EQ(client->Publish(topic, std::to_string(number)),
              PublishOutcome::kSent);
  }
}

void ReceiveAll(Client& client) {
  for (int number = 0; number < kMessages; ++number) {
    const Received got = client.Receive();
    ASSERT_EQ(got.outcome, ReceiveOutcome::kMessage) << client.status();
    ASSERT_EQ(got.message.payload, std::to_string(number));
  }
}

TEST(ReloadTest, MessagesFlowWhileRulesChange) {
  BrokerOptions options;
  options.workers = 2;
  TestBus bus(options);
  std::vector<std::unique_ptr<Client>> subscribers;
  std::vector<std::thread> threads;
  std::atomic<int> running = kPublishers;
  for (int number = 0; number < kPublishers; ++number) {
    const std::string topic = "load/" + std::to_string(number);
    subscribers.push_back(bus.Subscribe(topic));
    threads.emplace_back([&client = *subscribers.back(), &running] {
      ReceiveAll(client);
      --running;
    });
    threads.emplace_back([&bus, topic] { PublishAll(bus, topic); });
  }

  for (int reload = 0; reload < kReloads || running > 0; ++reload) {
    ASSERT_TRUE(bus.broker().SetTopicRules(OpenRules(reload % 3)).ok());
  }

  for (std::thread& thread : threads) thread.join();
}

TEST(ReloadTest, ASubscriberThatTheNewRulesDenyIsToldAndEnded) {
  TestBus bus;
  const std::unique_ptr<Client> denied = bus.Subscribe("secret/a");
  const std::unique_ptr<Client> allowed = bus.Subscribe("open");

  ASSERT_TRUE(bus.broker().SetTopicRules(NobodySubscribesTo("secret/*")).ok());

  EXPECT_EQ(denied->Receive().outcome, ReceiveOutcome::kDisconnected);
  EXPECT_TRUE(absl::StrContains(denied->status().message(), "secret/a"))
      << denied->status();
  ASSERT_EQ(bus.Connect()->Publish("open", "1"), PublishOutcome::kSent);
  EXPECT_EQ(allowed->Receive().outcome, ReceiveOutcome::kMessage);
}

TEST(ReloadTest, BadRulesChangeNothing) {
  TestBus bus;
  ASSERT_TRUE(bus.broker().SetTopicRules(NobodySubscribesTo("a")).ok());

  EXPECT_FALSE(bus.broker().SetTopicRules({RuleFor("not//valid")}).ok());

  EXPECT_FALSE(bus.Connect()->Subscribe("a").ok());
}

}  // namespace
}  // namespace fifobus
