// The broker's core under random load, without an operating system: sessions
// that subscribe, publish, read slowly, stall and leave in an order drawn from
// a seed. A model of a few lines says what each must have received or been told
// it lost.

#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "broker/core/delivery/egress.h"
#include "broker/core/routing/router.h"
#include "broker/core/routing/subscription_table.h"
#include "broker/counters.h"
#include "fmt/format.h"
#include "gtest/gtest.h"
#include "proto/topic.h"
#include "tests/support/core_fakes.h"

namespace fifobus {
namespace {

constexpr size_t kQueueBytesMax = 2000;

// One subscriber and what the model knows of it.
struct Subscriber {
  uint32_t id = 0;
  std::shared_ptr<FakeSink> sink;
  std::shared_ptr<Egress> egress;
  std::vector<std::string> patterns;
  // Frames that were published while it was subscribed, in order.
  std::vector<std::string> expected;
  Overflow overflow = Overflow::kDropOldest;
  // What was expected when it was given up for being slow. What comes after
  // that is announced until it is told the reason, and then not for it.
  size_t expected_to_the_end = 0;
  size_t queued_before = 0;  // before the last chunk

  bool Wants(std::string_view topic) const {
    for (const std::string& pattern : patterns) {
      if (Matches(pattern, topic)) return true;
    }
    return false;
  }
};

class Simulation {
 public:
  explicit Simulation(uint32_t seed) : random_(seed) {
    options_.egress_queue_bytes_max = kQueueBytesMax;
    options_.copied_rest_bytes_max = 64;
    options_.routes_max = 8;
    router_ =
        std::make_unique<Router>(options_, table_, counters_, topic_stats_);
  }

  void Step() {
    switch (Draw(8)) {
      case 0:
        if (subscribers_.size() < 6) Join();
        return;
      case 1:
        if (!subscribers_.empty()) Subscribe(Any());
        return;
      case 2:
        if (!subscribers_.empty()) Unsubscribe(Any());
        return;
      case 3:
        if (!subscribers_.empty()) Read(Any(), Draw(4000));
        return;
      case 4:
        if (!subscribers_.empty() && Draw(10) == 0) TimeOut(Any());
        return;
      case 5:
        if (!subscribers_.empty() && Draw(40) == 0) Leave();
        return;
      default:
        Publish();
    }
  }

  // Everybody reads to the end; then each must have got what the model says.
  void Finish() {
    while (!subscribers_.empty()) Leave();
    EXPECT_EQ(valve_->pauses, 0) << "nobody is left who could hold it";
  }

  size_t checked() const { return checked_; }
  size_t lost() const { return lost_; }
  using Losses = std::map<pb::Gap::Reason, size_t>;
  const Losses& losses_by_reason() const { return losses_by_reason_; }

 private:
  uint32_t Draw(uint32_t bound) { return random_() % bound; }
  Subscriber& Any() { return *subscribers_[Draw(subscribers_.size())]; }

  std::string DrawPattern() {
    static const std::vector<std::string> patterns = {
        "a", "a/b", "a/*", "a/**", "*/b", "**", "*", "c/*/e", "c/**"};
    return patterns[Draw(static_cast<uint32_t>(patterns.size()))];
  }
  std::string DrawTopic() {
    static const std::vector<std::string> topics = {
        "a", "a/b", "a/c", "b", "c/d", "c/d/e", "c/x/e", "x/b"};
    return topics[Draw(static_cast<uint32_t>(topics.size()))];
  }

  void Join() {
    auto subscriber = std::make_unique<Subscriber>();
    subscriber->id = next_id_++;
    subscriber->sink = std::make_shared<FakeSink>();
    subscriber->sink->room = Draw(3000);
    subscriber->egress =
        std::make_shared<Egress>(subscriber->id, EgressFormat::kFrames,
                                 options_, subscriber->sink, counters_);
    static constexpr Overflow kOverflows[] = {
        Overflow::kDropOldest, Overflow::kDropNewest, Overflow::kLatest,
        Overflow::kDisconnect, Overflow::kBlock};
    subscriber->overflow = kOverflows[Draw(5)];
    const size_t messages_max = Draw(3) == 0 ? 1 + Draw(10) : 0;
    subscriber->egress->SetPolicy(
        {subscriber->overflow, {kQueueBytesMax, messages_max}});
    subscribers_.push_back(std::move(subscriber));
  }

  void Subscribe(Subscriber& subscriber) {
    const std::string pattern = DrawPattern();
    std::erase(subscriber.patterns, pattern);
    subscriber.patterns.push_back(pattern);
    table_.Add(pattern, subscriber.egress);
  }

  void Unsubscribe(Subscriber& subscriber) {
    const std::string pattern = DrawPattern();
    std::erase(subscriber.patterns, pattern);
    subscriber.egress->NoteUnsubscribed(table_.Remove(pattern, subscriber.id));
  }

  // One chunk of some messages.
  void Publish() {
    std::vector<std::pair<std::string, std::string>> messages;
    std::string bytes;
    for (uint32_t i = 0; i <= Draw(6); ++i) {
      const std::string topic = DrawTopic();
      const std::string payload =
          fmt::format("{}:{}", ++published_, std::string(Draw(400), 'x'));
      messages.emplace_back(topic, MessageFrame(topic, payload));
      bytes += messages.back().second;
    }
    for (const auto& subscriber : subscribers_) {
      subscriber->queued_before = subscriber->egress->state().queued_bytes;
    }
    const ChunkRef chunk = Chunk::CopyOf(bytes);
    router_->Begin(chunk, ingress_valve_, PublisherId());
    size_t offset = 0;
    for (const auto& [topic, frame] : messages) {
      const std::string_view in_chunk(chunk->bytes() + offset, frame.size());
      ASSERT_EQ(router_->Add(in_chunk, ReadMessageFrame(in_chunk)),
                Router::Outcome::kRouted);
      offset += frame.size();
      for (const auto& subscriber : subscribers_) {
        if (subscriber->Wants(topic)) subscriber->expected.push_back(frame);
      }
    }
    router_->Flush();
    CheckBounds(bytes.size());
  }

  // A queue exceeds its limit by one chunk of the only feeder at most.
  void CheckBounds(size_t chunk_bytes) {
    for (const auto& subscriber : subscribers_) {
      const EgressState state = subscriber->egress->state();
      if (state.stalled) {
        // The publisher here never waits, so a queue that drops the newest may
        // be far above its limit when it is stalled; then it must not grow.
        const size_t most =
            subscriber->overflow == Overflow::kDropNewest
                ? std::max(kQueueBytesMax, subscriber->queued_before)
                : kQueueBytesMax;
        EXPECT_LE(state.queued_bytes, most + chunk_bytes);
      } else if (state.queued_bytes > kQueueBytesMax && !state.ending) {
        EXPECT_GT(valve_->pauses, 0) << "nothing holds the publisher back";
      }
    }
  }

  void Read(Subscriber& subscriber, size_t bytes) {
    subscriber.sink->room += bytes;
    subscriber.egress->OnWritable();
  }

  void TimeOut(Subscriber& subscriber) {
    subscriber.egress->OnStallTimeout();
    if (subscriber.egress->state().ending &&
        subscriber.expected_to_the_end == 0) {
      subscriber.expected_to_the_end = subscriber.expected.size();
    }
    if (subscriber.overflow == Overflow::kBlock) {
      EXPECT_FALSE(subscriber.egress->state().stalled);
    }
  }

  void Leave() {
    const size_t index = Draw(static_cast<uint32_t>(subscribers_.size()));
    Subscriber& subscriber = *subscribers_[index];
    subscriber.sink->room = SIZE_MAX;
    subscriber.egress->OnWritable();
    Check(subscriber);
    for (const std::string& pattern : subscriber.patterns) {
      (void)table_.Remove(pattern, subscriber.id);
    }
    subscriber.egress->Close();
    subscribers_.erase(subscribers_.begin() + static_cast<long>(index));
  }

  // Each expected frame is there, in order, or is one of as many as the Gap in
  // its place announces. Conflated ones may be announced earlier.
  void Check(const Subscriber& subscriber) {
    const SplitFrames split = Split(subscriber.sink->written);
    EXPECT_TRUE(split.rest.empty());
    size_t next = 0;
    size_t conflated = 0;  // announced and not met yet
    for (const std::string& frame : split.frames) {
      const pb::Frame parsed = Parse(frame);
      if (parsed.has_error()) {
        EXPECT_EQ(frame, split.frames.back());
        EXPECT_GE(next, subscriber.expected_to_the_end);
        EXPECT_LE(next, subscriber.expected.size());
        return;
      }
      if (parsed.has_gap()) {
        const size_t messages = parsed.gap().messages();
        EXPECT_GT(messages, 0u);
        lost_ += messages;
        losses_by_reason_[parsed.gap().reason()] += messages;
        (parsed.gap().reason() == pb::Gap::REASON_CONFLATED ? conflated
                                                            : next) += messages;
        continue;
      }
      // Of a queue that conflates and drops the oldest the two losses mix, so
      // that only their sum is known.
      while (subscriber.overflow == Overflow::kLatest && conflated > 0 &&
             next < subscriber.expected.size() &&
             subscriber.expected[next] != frame) {
        ++next;
        --conflated;
      }
      ASSERT_LT(next, subscriber.expected.size());
      ASSERT_EQ(frame, subscriber.expected[next]) << "message " << next;
      ++next;
      ++checked_;
    }
    EXPECT_EQ(next + conflated, subscriber.expected.size())
        << "the rest is lost silently";
  }

  std::mt19937 random_;
  BrokerOptions options_;
  Counters counters_;
  SubscriptionTable table_;
  TopicStats topic_stats_{100};
  std::unique_ptr<Router> router_;
  const std::shared_ptr<FakeValve> valve_ = std::make_shared<FakeValve>();
  const std::shared_ptr<Valve> ingress_valve_ = valve_;
  std::vector<std::unique_ptr<Subscriber>> subscribers_;
  uint32_t next_id_ = 0;
  uint64_t published_ = 0;
  size_t checked_ = 0;
  size_t lost_ = 0;
  Losses losses_by_reason_;
};

TEST(CoreSimulation, WhatIsPublishedIsReceivedOrAnnouncedAsLost) {
  const uint32_t first =
      static_cast<uint32_t>(testing::UnitTest::GetInstance()->random_seed()) *
      1000;
  size_t checked = 0;
  size_t lost = 0;
  Simulation::Losses by_reason;
  for (uint32_t seed = first; seed < first + 30; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    Simulation simulation(seed);
    for (int step = 0; step < 2000; ++step) simulation.Step();
    simulation.Finish();
    checked += simulation.checked();
    lost += simulation.lost();
    for (const auto& [reason, count] : simulation.losses_by_reason()) {
      by_reason[reason] += count;
    }
    if (HasFailure()) break;
  }
  // It would say little if one of the two never happened.
  EXPECT_GT(checked, 10000u);
  EXPECT_GT(lost, 500u);
  EXPECT_GT(by_reason[pb::Gap::REASON_OVERFLOW], 100u);
  EXPECT_GT(by_reason[pb::Gap::REASON_CONFLATED], 100u);
  EXPECT_GT(by_reason[pb::Gap::REASON_DISCONNECTED], 10u);
  RecordProperty("messages_checked", static_cast<int>(checked));
  RecordProperty("messages_lost", static_cast<int>(lost));
}

}  // namespace
}  // namespace fifobus
