// Queue groups on a real bus: FIFOs, workers and timers.

#include <atomic>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "proto/frame_writer.h"
#include "tests/support/bus_support.h"

namespace fifobus {
namespace {

constexpr char kTopic[] = "work/item";

std::string JoinFrame(const pb::Subscribe::Acks* acks) {
  pb::Frame frame;
  frame.mutable_subscribe()->set_request_id(1);
  frame.mutable_subscribe()->set_pattern("work/*");
  frame.mutable_subscribe()->set_group("g");
  if (acks != nullptr) *frame.mutable_subscribe()->mutable_acks() = *acks;
  std::string bytes;
  AppendFrame(frame, bytes);
  return bytes;
}

std::string AckFrame(uint64_t id, pb::Ack::Verdict verdict) {
  pb::Frame frame;
  frame.mutable_ack()->add_ack_ids(id);
  frame.mutable_ack()->set_verdict(verdict);
  std::string bytes;
  AppendFrame(frame, bytes);
  return bytes;
}

pb::Subscribe::Acks Acks(uint32_t unacked_max) {
  pb::Subscribe::Acks acks;
  acks.set_unacked_max(unacked_max);
  acks.set_timeout_millis(3600 * 1000);
  return acks;
}

// A member, also of the plain topic "stop", whose message ends its work.
std::unique_ptr<RawSession> Join(const TestBus& bus,
                                 const pb::Subscribe::Acks* acks = nullptr) {
  auto session = std::make_unique<RawSession>(bus.dir());
  session->Greet();
  session->Write(SubscribeFrame("stop") + JoinFrame(acks));
  EXPECT_TRUE(session->Next().has_subscribed());
  EXPECT_TRUE(session->Next().has_subscribed());
  return session;
}

void PublishItems(Client& client, int first, int count) {
  for (int i = first; i < first + count; ++i) {
    ASSERT_EQ(client.Publish(kTopic, std::to_string(i)), PublishOutcome::kSent);
  }
}

pb::StatsReply::Group GroupStats(const TestBus& bus) {
  const pb::StatsReply stats = bus.broker().CollectStats();
  return stats.groups_size() == 0 ? pb::StatsReply::Group() : stats.groups(0);
}

// How often each item came to a member.
using Items = std::map<std::string, int>;

// Reads until "stop".
void WorkPlain(RawSession& member, Items& items) {
  while (true) {
    const pb::Frame frame = member.Next();
    ASSERT_TRUE(frame.has_message()) << frame.ShortDebugString();
    if (frame.message().topic() == "stop") return;
    ++items[frame.message().payload()];
  }
}

// Reads and acknowledges until "stop". `done` counts what was acknowledged
// first.
void WorkAcked(RawSession& member, Items& items) {
  pb::Delivery delivery;
  while (true) {
    const pb::Frame frame = member.Next();
    if (frame.has_delivery()) {
      delivery = frame.delivery();
      continue;
    }
    ASSERT_TRUE(frame.has_message()) << frame.ShortDebugString();
    if (frame.message().topic() == "stop") return;
    ASSERT_NE(delivery.ack_id(), 0u);
    ++items[frame.message().payload()];
    member.Write(AckFrame(delivery.ack_id(), pb::Ack::VERDICT_DONE));
  }
}

TEST(GroupBroker, WorkersShareAStreamAndGetEachMessageOnce) {
  BrokerOptions options;
  options.workers = 3;
  const TestBus bus(options);
  constexpr int kMembers = 4;
  constexpr int kItems = 20000;
  std::vector<std::unique_ptr<RawSession>> members;
  for (int i = 0; i < kMembers; ++i) members.push_back(Join(bus));
  std::vector<Items> items(kMembers);
  std::vector<std::thread> threads;
  for (int i = 0; i < kMembers; ++i) {
    threads.emplace_back([&, i] { WorkPlain(*members[i], items[i]); });
  }
  const auto first = bus.Connect();
  const auto second = bus.Connect();
  std::thread publishing([&] { PublishItems(*first, 0, kItems / 2); });
  PublishItems(*second, kItems / 2, kItems / 2);
  publishing.join();
  EXPECT_TRUE(WaitUntil([&] {
    return bus.Count("messages_published") == uint64_t{kItems} &&
           GroupStats(bus).queue().queued_bytes() == 0;
  }));
  EXPECT_EQ(first->Publish("stop", ""), PublishOutcome::kSent);
  for (std::thread& thread : threads) thread.join();
  Items all;
  for (const Items& one : items) {
    EXPECT_GT(one.size(), 0u) << "a member got nothing";
    for (const auto& [item, count] : one) all[item] += count;
  }
  EXPECT_EQ(all.size(), size_t{kItems});
  for (const auto& [item, count] : all) ASSERT_EQ(count, 1) << item;
}

TEST(GroupBroker, AMemberThatDoesNotReadIsGivenNoMoreThanItsPipe) {
  const TestBus bus;
  const auto stuck = Join(bus);
  const auto reading = Join(bus);
  const auto publisher = bus.Connect();
  Items items;
  std::thread working([&] { WorkPlain(*reading, items); });
  constexpr int kItems = 3000;
  const std::string payload(1000, 'x');
  for (int i = 0; i < kItems; ++i) {
    ASSERT_EQ(publisher->Publish(kTopic, std::to_string(i) + payload),
              PublishOutcome::kSent);
  }
  EXPECT_TRUE(WaitUntil([&] {
    return bus.Count("messages_published") == uint64_t{kItems} &&
           GroupStats(bus).queue().queued_bytes() == 0;
  }));
  EXPECT_EQ(publisher->Publish("stop", ""), PublishOutcome::kSent);
  working.join();
  // A subscriber's pipe grows to 512 KiB.
  EXPECT_GT(items.size(), size_t{kItems} - 550);
  EXPECT_EQ(bus.Count("messages_dropped"), 0u);
}

TEST(GroupBroker, AnAcknowledgingGroupLosesNothingWhenMembersAreKilled) {
  BrokerOptions options;
  options.workers = 3;
  const TestBus bus(options);
  constexpr int kItems = 3000;
  const pb::Subscribe::Acks acks = Acks(20);
  std::vector<std::unique_ptr<RawSession>> members;
  std::vector<std::unique_ptr<RawSession>> victims;
  for (int i = 0; i < 3; ++i) {
    members.push_back(Join(bus, &acks));
    victims.push_back(Join(bus, &acks));
  }
  std::vector<Items> items(members.size());
  std::vector<std::thread> threads;
  for (size_t i = 0; i < members.size(); ++i) {
    threads.emplace_back([&, i] { WorkAcked(*members[i], items[i]); });
  }
  const auto publisher = bus.Connect();
  std::thread publishing([&] { PublishItems(*publisher, 0, kItems); });
  std::set<std::string> held;
  for (const auto& victim : victims) {
    EXPECT_TRUE(victim->Next().has_delivery());
    held.insert(victim->Next().message().payload());
  }
  victims.clear();
  publishing.join();
  EXPECT_TRUE(WaitUntil([&] {
    const pb::StatsReply::Group group = GroupStats(bus);
    return bus.Count("messages_published") == uint64_t{kItems} &&
           group.members() == members.size() && group.unacked() == 0 &&
           group.queue().queued_bytes() == 0;
  }));
  EXPECT_EQ(publisher->Publish("stop", ""), PublishOutcome::kSent);
  for (std::thread& thread : threads) thread.join();
  Items all;
  for (const Items& one : items) {
    for (const auto& [item, count] : one) all[item] += count;
  }
  EXPECT_EQ(all.size(), size_t{kItems});
  for (const auto& [item, count] : all) ASSERT_EQ(count, 1) << item;
  for (const std::string& item : held) EXPECT_TRUE(all.contains(item));
  EXPECT_TRUE(WaitUntil(
      [&] { return bus.Count("messages_redelivered") >= held.size(); }));
  EXPECT_EQ(bus.Count("messages_abandoned"), 0u);
}

TEST(GroupBroker, WhatIsNotAnsweredInTimeIsDeliveredAgainAndThenADeadLetter) {
  const TestBus bus;
  pb::Subscribe::Acks acks;
  acks.set_timeout_millis(20);
  acks.set_deliveries_max(2);
  const auto dead = bus.Subscribe("$dead/*");
  const auto member = Join(bus, &acks);
  const auto publisher = bus.Connect();
  PublishItems(*publisher, 7, 1);
  for (uint32_t delivery = 1; delivery <= 2; ++delivery) {
    EXPECT_EQ(member->Next().delivery().delivery_count(), delivery);
    EXPECT_EQ(member->Next().message().payload(), "7");
  }
  EXPECT_EQ(ReceivePayloads(*dead, 1), std::vector<std::string>{"7"});
  EXPECT_EQ(bus.Count("messages_dead_lettered"), 1u);
}

TEST(GroupBroker, AGroupKeepsItsMessagesForMembersThatComeBack) {
  const TestBus bus;
  const pb::Subscribe::Acks acks = Acks(1);
  auto member = Join(bus, &acks);
  const auto publisher = bus.Connect();
  PublishItems(*publisher, 0, 2);
  EXPECT_TRUE(member->Next().has_delivery());
  member.reset();
  ASSERT_TRUE(WaitUntil([&] { return GroupStats(bus).members() == 0; }));
  member = Join(bus, &acks);
  const pb::Delivery again = member->Next().delivery();
  EXPECT_EQ(again.delivery_count(), 2u);
  EXPECT_EQ(member->Next().message().payload(), "0");
  member->Write(AckFrame(again.ack_id(), pb::Ack::VERDICT_DONE));
  EXPECT_EQ(member->Next().delivery().delivery_count(), 1u);
  EXPECT_EQ(member->Next().message().payload(), "1");
}

TEST(GroupBroker, AGroupNobodyComesBackToEndsAndCountsWhatItHad) {
  BrokerOptions options;
  options.group_linger = absl::Milliseconds(1);
  const TestBus bus(options);
  const pb::Subscribe::Acks acks = Acks(1);
  auto member = Join(bus, &acks);
  const auto publisher = bus.Connect();
  PublishItems(*publisher, 0, 2);
  ASSERT_TRUE(WaitUntil([&] { return bus.Count("messages_published") == 2; }));
  member.reset();
  EXPECT_TRUE(WaitUntil(
      [&] { return bus.broker().CollectStats().groups_size() == 0; }));
  EXPECT_TRUE(WaitUntil([&] { return bus.Count("messages_abandoned") == 2; }));
}

}  // namespace
}  // namespace fifobus
