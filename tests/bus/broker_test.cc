#include "broker/broker.h"

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "proto/topic.h"
#include "tests/support/bus_support.h"

namespace fifobus {
namespace {

using Clients = std::vector<std::unique_ptr<Client>>;

// Publishes "0", "1", ... and checks each outcome.
void PublishNumbers(Client& client, std::string_view topic, int count) {
  for (int i = 0; i < count; ++i) {
    ASSERT_EQ(client.Publish(topic, std::to_string(i)), PublishOutcome::kSent);
  }
}

std::vector<std::string> Numbers(int count) {
  std::vector<std::string> numbers;
  for (int i = 0; i < count; ++i) numbers.push_back(std::to_string(i));
  return numbers;
}

class FanOutTest : public testing::TestWithParam<int> {};

TEST_P(FanOutTest, EachSubscriberGetsEachMessageOnceAndInOrder) {
  RaiseDescriptorLimit();
  const int subscribers = GetParam();
  const int messages = subscribers >= 1000 ? 20 : 500;
  const TestBus bus;
  Clients clients;
  for (int i = 0; i < subscribers; ++i) {
    clients.push_back(bus.Subscribe("load/*"));
  }
  const auto publisher = bus.Connect();
  std::thread publishing(
      [&] { PublishNumbers(*publisher, "load/a", messages); });
  for (const auto& client : clients) {
    ASSERT_EQ(ReceivePayloads(*client, static_cast<size_t>(messages)),
              Numbers(messages));
  }
  publishing.join();
  EXPECT_EQ(bus.Count("messages_dropped"), 0u);
}

INSTANTIATE_TEST_SUITE_P(Subscribers, FanOutTest,
                         testing::Values(1, 10, 100, 1000));

TEST(Broker, AHundredPublishersReachOneSubscriberEachInItsOrder) {
  const TestBus bus;
  const auto subscriber = bus.Subscribe("**");
  constexpr int kPublishers = 100;
  constexpr int kMessages = 100;
  std::thread publishing([&] {
    Clients publishers;
    for (int p = 0; p < kPublishers; ++p) publishers.push_back(bus.Connect());
    for (int i = 0; i < kMessages; ++i) {
      for (int p = 0; p < kPublishers; ++p) {
        ASSERT_EQ(
            publishers[p]->Publish("p" + std::to_string(p), std::to_string(i)),
            PublishOutcome::kSent);
      }
    }
  });
  std::map<std::string, int> next;
  for (int i = 0; i < kPublishers * kMessages; ++i) {
    const Received got = subscriber->Receive(absl::Now() + kHang);
    ASSERT_EQ(got.outcome, ReceiveOutcome::kMessage);
    ASSERT_EQ(std::to_string(next[std::string(got.message.topic)]++),
              got.message.payload);
  }
  publishing.join();
  EXPECT_EQ(next.size(), static_cast<size_t>(kPublishers));
}

TEST(Broker, AThousandTopicsWithOverlappingPatternsReachWhomTheyShould) {
  const TestBus bus;
  const std::vector<std::vector<std::string>> patterns = {
      {"**"},
      {"a/**", "a/*/5", "*/1/5"},
      {"*/3/*"},
      {"b/7/7", "*/7/7", "b/**"},
      {"c/*/*", "c/**", "**"},
      {"*/*"},
  };
  Clients clients;
  for (const auto& of_one : patterns) {
    clients.push_back(bus.Connect());
    for (const std::string& pattern : of_one) {
      ASSERT_TRUE(clients.back()->Subscribe(pattern, kHang).ok());
    }
  }
  std::vector<std::string> topics;
  for (int i = 0; i < 1000; ++i) {
    topics.push_back(std::string(1, static_cast<char>('a' + i % 10)) + "/" +
                     std::to_string(i / 10 % 10) + "/" +
                     std::to_string(i / 100));
  }
  topics.push_back("end/end");
  const auto publisher = bus.Connect();
  std::thread publishing([&] {
    for (int round = 0; round < 2; ++round) {
      for (const std::string& topic : topics) {
        ASSERT_EQ(publisher->Publish(topic, topic), PublishOutcome::kSent);
      }
    }
  });
  for (size_t i = 0; i < clients.size(); ++i) {
    std::vector<std::string> expected;
    for (int round = 0; round < 2; ++round) {
      for (const std::string& topic : topics) {
        bool matches = false;
        for (const std::string& pattern : patterns[i]) {
          matches |= Matches(pattern, topic);
        }
        if (matches) expected.push_back(topic);
      }
    }
    EXPECT_EQ(ReceivePayloads(*clients[i], expected.size()), expected) << i;
  }
  publishing.join();
}

class PayloadTest : public testing::TestWithParam<size_t> {};

TEST_P(PayloadTest, ArrivesAsItWasThroughPipesOfAnySize) {
  for (const size_t pipe_bytes : {size_t{4096}, size_t{65536}}) {
    BrokerOptions options;
    options.session_pipe_bytes = pipe_bytes;
    options.grown_pipes_bytes_max = 0;
    const TestBus bus(options);
    const auto subscriber = bus.Subscribe("big");
    const auto publisher = bus.Connect();
    std::string payload(GetParam(), '\0');
    for (size_t i = 0; i < payload.size(); ++i) {
      payload[i] = static_cast<char>(i * 31 + i / 251);
    }
    std::thread publishing([&] {
      for (int i = 0; i < 2; ++i) {
        ASSERT_EQ(publisher->Publish("big", payload), PublishOutcome::kSent);
      }
    });
    const auto received = ReceivePayloads(*subscriber, 2);
    publishing.join();
    ASSERT_EQ(received.size(), 2u);
    EXPECT_TRUE(received[0] == payload && received[1] == payload);
  }
}

INSTANTIATE_TEST_SUITE_P(Bytes, PayloadTest,
                         testing::Values(0, 1, 4095, 4096, 4097, 65535, 1 << 20,
                                         (16 << 20) - 1024));

TEST(Broker, OneThreadMayPublishToItsOwnSubscription) {
  BrokerOptions options;
  options.session_pipe_bytes = 4096;
  options.grown_pipes_bytes_max = 0;
  const TestBus bus(options);
  const auto client = bus.Subscribe("self");
  constexpr int kMessages = 20000;
  const std::string payload(200, 'x');
  for (int i = 0; i < kMessages; ++i) {
    ASSERT_EQ(client->Publish("self", payload, absl::Now() + kHang),
              PublishOutcome::kSent);
  }
  uint64_t accounted = 0;
  while (accounted < kMessages) {
    const Received got = client->Receive(absl::Now() + kHang);
    if (got.outcome == ReceiveOutcome::kMessage) {
      ++accounted;
    } else {
      ASSERT_EQ(got.outcome, ReceiveOutcome::kGap);
      accounted += got.gap.messages;
    }
  }
  EXPECT_EQ(accounted, static_cast<uint64_t>(kMessages));
}

// Two workers whose ingresses feed each other's subscribers through pipes of
// one page: every few messages each pauses an ingress of the other's thread and
// resumes it.
TEST(Broker, WorkersThatPauseAndResumeEachOtherLoseNoWakeUp) {
  BrokerOptions options;
  options.session_pipe_bytes = 4096;
  options.grown_pipes_bytes_max = 0;
  options.egress_queue_bytes_max = 8192;
  options.stall_timeout = kHang;
  const TestBus bus(options);
  constexpr int kMessages = 20000;
  // Sessions go to the two workers in turn: each publisher is on the other
  // worker than its subscriber.
  const auto left_in = bus.Subscribe("left");
  const auto left_out = bus.Connect();
  const auto unused = bus.Connect();
  const auto right_out = bus.Connect();
  const auto right_in = bus.Subscribe("right");
  std::thread publish_left(
      [&] { PublishNumbers(*left_out, "left", kMessages); });
  std::thread publish_right(
      [&] { PublishNumbers(*right_out, "right", kMessages); });
  std::thread receive_right([&] {
    EXPECT_EQ(ReceivePayloads(*right_in, kMessages), Numbers(kMessages));
  });
  EXPECT_EQ(ReceivePayloads(*left_in, kMessages), Numbers(kMessages));
  publish_left.join();
  publish_right.join();
  receive_right.join();
  EXPECT_EQ(bus.Count("messages_dropped"), 0u);
}

TEST(Broker, AStuckSubscriberDoesNotHoldTheOthersAndIsToldWhatItLost) {
  BrokerOptions options;
  options.egress_queue_bytes_max = 65536;
  options.stall_timeout = absl::Milliseconds(50);
  const TestBus bus(options);
  const auto stuck = bus.Subscribe("load");
  const auto healthy = bus.Subscribe("load");
  const auto publisher = bus.Connect();
  constexpr int kMessages = 3000;
  const std::string payload(1000, 'x');
  std::thread publishing([&] {
    for (int i = 0; i < kMessages; ++i) {
      ASSERT_EQ(publisher->Publish("load", payload), PublishOutcome::kSent);
    }
  });
  EXPECT_EQ(ReceivePayloads(*healthy, kMessages).size(),
            static_cast<size_t>(kMessages));
  publishing.join();
  uint64_t received = 0;
  uint64_t lost = 0;
  while (received + lost < kMessages) {
    const Received got = stuck->Receive(absl::Now() + kHang);
    if (got.outcome == ReceiveOutcome::kMessage) {
      ++received;
      continue;
    }
    ASSERT_EQ(got.outcome, ReceiveOutcome::kGap);
    ASSERT_EQ(got.gap.losses.size(), 1u);
    EXPECT_EQ(got.gap.losses[0].topic, "load");
    EXPECT_EQ(got.gap.losses[0].messages, got.gap.messages);
    lost += got.gap.messages;
  }
  EXPECT_EQ(received + lost, static_cast<uint64_t>(kMessages));
  EXPECT_GT(lost, 0u);
  EXPECT_EQ(bus.Count("messages_dropped"), lost);
}

TEST(Broker, ASlowSubscriberLosesNothingAndMakesThePublisherWait) {
  BrokerOptions options;
  options.egress_queue_bytes_max = 65536;
  options.stall_timeout = kHang;
  const TestBus bus(options);
  const auto slow = bus.Subscribe("load");
  ClientOptions non_blocking;
  non_blocking.mode = Mode::kNonBlocking;
  const auto publisher = bus.Connect(non_blocking);
  const std::string payload(1000, 'x');
  // The pipes and the queue fill up; then the publisher is told to wait, for as
  // long as nobody reads.
  int published = 0;
  ASSERT_TRUE(WaitUntil([&] {
    bool full = false;
    while (!full) {
      full = publisher->Publish("load", payload) == PublishOutcome::kWouldBlock;
      if (!full) ++published;
    }
    const auto stats = bus.Connect()->Stats(kHang);
    for (const auto& session : stats->sessions()) {
      if (session.queue().queued_bytes() > 65536) return true;
    }
    return false;
  }));
  EXPECT_EQ(ReceivePayloads(*slow, static_cast<size_t>(published)).size(),
            static_cast<size_t>(published));
  EXPECT_EQ(bus.Count("messages_dropped"), 0u);
}

TEST(Broker, AFloodDoesNotStarveATrickle) {
  BrokerOptions options;
  options.workers = 1;
  const TestBus bus(options);
  const auto flooder = bus.Connect();
  const auto trickle = bus.Connect();
  const auto subscriber = bus.Subscribe("trickle");
  std::atomic<bool> done{false};
  std::thread flooding([&] {
    const std::string payload(4000, 'x');
    while (!done) (void)flooder->Publish("flood", payload);
  });
  for (int i = 0; i < 200; ++i) {
    ASSERT_EQ(trickle->Publish("trickle", "drop"), PublishOutcome::kSent);
    ASSERT_EQ(ReceivePayloads(*subscriber, 1).size(), 1u);
  }
  done = true;
  flooding.join();
}

TEST(Broker, UnsubscribingEndsThePattern) {
  const TestBus bus;
  const auto client = bus.Subscribe("a");
  ASSERT_TRUE(client->Subscribe("b", kHang).ok());
  ASSERT_TRUE(client->Unsubscribe("a", kHang).ok());
  ASSERT_EQ(client->Publish("a", "1"), PublishOutcome::kSent);
  ASSERT_EQ(client->Publish("b", "2"), PublishOutcome::kSent);
  EXPECT_EQ(ReceivePayloads(*client, 1), std::vector<std::string>{"2"});
}

TEST(Broker, StatsShowTopicsSessionsAndCounters) {
  const TestBus bus;
  const auto subscriber = bus.Subscribe("a/*");
  const auto publisher = bus.Connect();
  PublishNumbers(*publisher, "a/b", 3);
  PublishNumbers(*publisher, "nobody", 2);
  ASSERT_TRUE(publisher->Ping(kHang).ok());
  const auto stats = publisher->Stats(kHang);
  ASSERT_TRUE(stats.ok()) << stats.status();
  ASSERT_EQ(stats->topics_size(), 2);
  EXPECT_EQ(stats->topics(0).name(), "a/b");
  EXPECT_EQ(stats->topics(0).messages(), 3u);
  EXPECT_EQ(stats->topics(0).subscribers(), 1u);
  EXPECT_EQ(stats->topics(1).no_subscriber(), 2u);
  EXPECT_EQ(stats->sessions_size(), 2);
  EXPECT_EQ(bus.Count("messages_published"), 5u);
  EXPECT_EQ(bus.Count("sessions_opened"), 2u);
}

TEST(Broker, DescriptorsReturnToTheirNumber) {
  const TestBus bus;
  const size_t before = OpenDescriptors();
  for (int i = 0; i < 50; ++i) {
    const auto client = bus.Subscribe("a/**");
    ASSERT_EQ(client->Publish("a/b", "x"), PublishOutcome::kSent);
  }
  EXPECT_TRUE(WaitUntil([&] { return OpenDescriptors() == before; }))
      << before << " then " << OpenDescriptors();
}

TEST(Broker, WhatAClientPublishedBeforeItLeftArrives) {
  const TestBus bus;
  const auto subscriber = bus.Subscribe("last/**");
  for (int i = 0; i < 100; ++i) {
    const auto publisher = bus.Connect();
    ASSERT_EQ(publisher->Publish("last/words", std::to_string(i)),
              PublishOutcome::kSent);
  }
  EXPECT_EQ(ReceivePayloads(*subscriber, 100).size(), 100u);
}

}  // namespace
}  // namespace fifobus
