#include "broker/core/routing/topic_stats.h"

#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "fmt/format.h"
#include "gtest/gtest.h"

namespace fifobus {
namespace {

std::map<std::string, uint64_t> Listed(const TopicStats& stats) {
  std::map<std::string, uint64_t> listed;
  stats.Collect([&](const std::string& topic, const TopicSum& sum) {
    listed[topic] = sum.messages;
  });
  return listed;
}

uint64_t Total(const TopicStats& stats) {
  uint64_t total = stats.replies().messages + stats.forgotten().messages;
  for (const auto& [topic, messages] : Listed(stats)) total += messages;
  return total;
}

void Publish(TopicStats& stats, const std::string& topic) {
  const std::shared_ptr<TopicCount> count = stats.Find(topic);
  stats.Touch(*count);
  count->Add(1, 10, 1);
}

TEST(TopicStats, CountsOfAllWorkersAreOne) {
  TopicStats stats(10);
  const std::shared_ptr<TopicCount> one = stats.Find("a");
  const std::shared_ptr<TopicCount> other = stats.Find("a");
  EXPECT_EQ(one, other);
  one->Add(2, 20, 0);
  other->Add(1, 5, 1);
  for (const uint64_t session : {3, 4, 3, 0}) one->NotePublisher(session);
  const TopicSum sum = stats.SumOf("a");
  EXPECT_EQ(sum.messages, 3u);
  EXPECT_EQ(sum.bytes, 25u);
  EXPECT_EQ(sum.no_subscriber, 1u);
  EXPECT_EQ(sum.publishers, (std::vector<uint64_t>{0, 3, 4}));
  EXPECT_EQ(stats.SumOf("b").messages, 0u);
}

TEST(TopicStats, TheLastFewPublishersAreKnown) {
  TopicStats stats(10);
  for (uint64_t i = 1; i <= 20; ++i) stats.Find("a")->NotePublisher(i);
  const std::vector<uint64_t> publishers = stats.SumOf("a").publishers;
  EXPECT_EQ(publishers.size(), 8u);
  EXPECT_EQ(publishers.back(), 20u);
}

TEST(TopicStats, RepliesAreOneSumAndNotListed) {
  TopicStats stats(10);
  Publish(stats, "real/topic");
  for (int i = 0; i < 1000; ++i) Publish(stats, fmt::format("_inbox/x/{}", i));
  EXPECT_EQ(Listed(stats),
            (std::map<std::string, uint64_t>{{"real/topic", 1}}));
  EXPECT_EQ(stats.replies().messages, 1000u);
  EXPECT_EQ(stats.replies().bytes, 10000u);
  EXPECT_EQ(stats.forgotten().messages, 0u);
}

TEST(TopicStats, TheLongestIdleAreForgottenFirstAndTheTotalStaysExact) {
  TopicStats stats(64);
  for (int i = 0; i < 1000; ++i) {
    Publish(stats, "busy/one");
    Publish(stats, fmt::format("t/{}", i));
    Publish(stats, "busy/two");
    ASSERT_LE(Listed(stats).size(), 64u);
  }
  const auto listed = Listed(stats);
  EXPECT_EQ(listed.at("busy/one"), 1000u);
  EXPECT_EQ(listed.at("busy/two"), 1000u);
  EXPECT_TRUE(listed.contains("t/999"));
  EXPECT_FALSE(listed.contains("t/900"));
  EXPECT_EQ(Total(stats), 3000u);
  EXPECT_EQ(stats.forgotten().no_subscriber, 1000 - (listed.size() - 2));
}

TEST(TopicStats, WhatAWorkerStillAddsToAForgottenTopicIsNotLost) {
  TopicStats stats(8);
  const std::shared_ptr<TopicCount> held = stats.Find("held");
  held->Add(1, 0, 0);
  for (int i = 0; i < 100; ++i) Publish(stats, fmt::format("t/{}", i));
  EXPECT_TRUE(held->forgotten());
  held->Add(5, 0, 0);
  EXPECT_EQ(Total(stats), 106u);
  const std::shared_ptr<TopicCount> again = stats.Find("held");
  EXPECT_NE(again, held);
  again->Add(1, 0, 0);
  EXPECT_EQ(stats.SumOf("held").messages, 1u);
  EXPECT_EQ(Total(stats), 107u);
}

TEST(TopicStats, IsExactWithSeveralWorkers) {
  TopicStats stats(32);
  constexpr int kWorkers = 3;
  constexpr int kMessages = 20000;
  std::vector<std::thread> workers;
  for (int worker = 0; worker < kWorkers; ++worker) {
    workers.emplace_back([&, worker] {
      for (int i = 0; i < kMessages; ++i) {
        Publish(stats, fmt::format("t/{}", (i * (worker + 1)) % 97));
      }
    });
  }
  for (std::thread& worker : workers) worker.join();
  EXPECT_EQ(Total(stats), uint64_t{kWorkers} * kMessages);
}

}  // namespace
}  // namespace fifobus
