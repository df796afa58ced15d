#include "clients/cli/bridge/value_queue.h"

#include <map>
#include <random>
#include <string>

#include "gtest/gtest.h"

namespace fifobus::bridge {
namespace {

NatsMessage Value(std::string subject, std::string payload) {
  NatsMessage value;
  value.subject = std::move(subject);
  value.payload = std::move(payload);
  return value;
}

TEST(ValueQueueTest, OnlyTheNewestValueOfASubjectIsSent) {
  ValueQueue queue(8);
  queue.Put(Value("a", "1"));
  queue.Put(Value("b", "1"));
  queue.Put(Value("a", "22"));
  EXPECT_EQ(queue.size(), 2U);
  EXPECT_EQ(queue.bytes(), 5U);
  const auto b = queue.NextToSend();
  const auto a = queue.NextToSend();
  ASSERT_TRUE(a && b);
  EXPECT_EQ(b->second.subject, "b");
  EXPECT_EQ(a->second.payload, "22");
  EXPECT_FALSE(queue.NextToSend().has_value());
  queue.OnStored(b->first);
  queue.OnStored(a->first);
  EXPECT_EQ(queue.size(), 0U);
  EXPECT_EQ(queue.bytes(), 0U);
}

TEST(ValueQueueTest, ChangeOnItsWayIsSentAgainAndCountsForTheWindow) {
  ValueQueue queue(2);
  queue.Put(Value("a", "1"));
  const auto first = queue.NextToSend();
  queue.Put(Value("a", "2"));
  const auto second = queue.NextToSend();
  queue.Put(Value("a", "3"));
  ASSERT_TRUE(first && second);
  EXPECT_FALSE(queue.NextToSend().has_value());
  queue.OnStored(first->first);
  const auto third = queue.NextToSend();
  ASSERT_TRUE(third);
  EXPECT_EQ(third->second.payload, "3");
  // The answer to an older value does not make the newer one done.
  queue.OnStored(second->first);
  EXPECT_EQ(queue.size(), 1U);
  queue.OnStored(third->first);
  EXPECT_EQ(queue.size(), 0U);
}

TEST(ValueQueueTest, NewRoundSendsWhatIsNotAnsweredAgain) {
  ValueQueue queue(8);
  queue.Put(Value("a", "1"));
  queue.Put(Value("b", "1"));
  const auto a = queue.NextToSend();
  const auto b = queue.NextToSend();
  ASSERT_TRUE(a && b);
  queue.OnStored(a->first);
  queue.BeginRound();
  // Of the round before.
  queue.OnStored(b->first);
  EXPECT_EQ(queue.size(), 1U);
  const auto again = queue.NextToSend();
  ASSERT_TRUE(again);
  EXPECT_EQ(again->second.subject, "b");
  EXPECT_FALSE(queue.NextToSend().has_value());
}

TEST(ValueQueueTest, RefusedValueIsTakenOutUnlessANewerOneHasItsPlace) {
  ValueQueue queue(8);
  queue.Put(Value("a", "1"));
  const auto first = queue.NextToSend();
  ASSERT_TRUE(first);
  queue.Put(Value("a", "2"));
  EXPECT_FALSE(queue.TakeRefused(first->first).has_value());
  const auto second = queue.NextToSend();
  ASSERT_TRUE(second);
  const auto refused = queue.TakeRefused(second->first);
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->payload, "2");
  EXPECT_EQ(queue.size(), 0U);
  EXPECT_EQ(queue.in_flight(), 0U);
}

// A stream that loses answers and connections ends with the newest values.
TEST(ValueQueueTest, StreamEndsWithTheNewestValueOfEachSubject) {
  const uint32_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::minstd_rand random(seed);
  const auto one_of = [&random](uint32_t n) { return random() % n; };
  ValueQueue queue(3);
  std::map<std::string, std::string> newest;
  std::map<std::string, std::string> stream;
  std::map<uint64_t, NatsMessage> wire;  // in order, as on a connection
  for (int i = 0; i < 20000; ++i) {
    const bool ends = i >= 15000;
    const uint32_t what = ends ? 1 + one_of(2) : one_of(20);
    if (what == 0) {
      queue.BeginRound();
      wire.clear();
    } else if (what == 1) {
      if (auto next = queue.NextToSend()) wire.insert(*std::move(next));
    } else if (what == 2 && !wire.empty()) {
      const auto first = wire.begin();
      stream[first->second.subject] = first->second.payload;
      queue.OnStored(first->first);
      wire.erase(first);
    } else if (what > 2) {
      const std::string subject = std::to_string(one_of(10));
      newest[subject] = std::to_string(i);
      queue.Put(Value(subject, newest[subject]));
    }
    ASSERT_LE(queue.in_flight(), 3U);
    ASSERT_LE(queue.size(), 10U);
  }
  EXPECT_EQ(queue.size(), 0U);
  EXPECT_EQ(stream, newest);
}

}  // namespace
}  // namespace fifobus::bridge
