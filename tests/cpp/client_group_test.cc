// Members of groups: sharing, acknowledging, leaving. Against a real broker.

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "clients/cpp/client.h"
#include "clients/cpp/internal/ack_ids.h"
#include "gtest/gtest.h"
#include "proto/frame.pb.h"
#include "tests/support/bus_support.h"

namespace fifobus {
namespace {

MessageFields Fields(std::string_view topic, std::string_view payload) {
  MessageFields fields;
  fields.topic = topic;
  fields.payload = payload;
  return fields;
}

Received Next(Client& client) { return client.Receive(kHang); }

SubscribeOptions InGroup(std::string group) {
  SubscribeOptions options;
  options.group = std::move(group);
  return options;
}

SubscribeOptions Acking(std::string group) {
  SubscribeOptions options = InGroup(std::move(group));
  options.acks.emplace();
  return options;
}

TEST(Groups, ShareAndAreLeftByTheirName) {
  const TestBus bus;
  const auto one = bus.Connect();
  const auto two = bus.Connect();
  ASSERT_TRUE(one->Subscribe("a", InGroup("g"), kHang).ok());
  ASSERT_TRUE(two->Subscribe("a", InGroup("g"), kHang).ok());
  EXPECT_EQ(one->Unsubscribe("a", kHang).code(), absl::StatusCode::kNotFound)
      << "not plainly";
  EXPECT_EQ(one->Subscribe("a", Acking("g"), kHang).code(),
            absl::StatusCode::kAlreadyExists);
  const auto publisher = bus.Connect();
  const auto taken = publisher->PublishConfirmed(Fields("a", "x"), kHang);
  ASSERT_TRUE(taken.ok()) << taken.status();
  EXPECT_EQ(taken->sessions, 1u) << "a group counts as one";
  ASSERT_TRUE(one->Unsubscribe("a", "g", kHang).ok());
  for (int i = 0; i < 10; ++i) {
    ASSERT_EQ(publisher->Publish("a", std::to_string(i)),
              PublishOutcome::kSent);
  }
  // The first went to either.
  std::vector<std::string> payloads = ReceivePayloads(*two, 10);
  if (payloads[0] == "x") {
    payloads.erase(payloads.begin());
    payloads.push_back(ReceivePayloads(*two, 1)[0]);
  }
  EXPECT_EQ(payloads.back(), "9");
}

TEST(Groups, AnInvalidNameAndAcksWithoutOneAreRefusedHere) {
  const TestBus bus;
  const auto client = bus.Connect();
  EXPECT_EQ(client->Subscribe("a", InGroup("g/h")).code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(client->Subscribe("a", Acking("")).code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(Groups, WhatIsNotDoneIsDeliveredAgain) {
  const TestBus bus;
  const auto publisher = bus.Connect();
  auto member = bus.Connect();
  ASSERT_TRUE(member->Subscribe("a", Acking("g"), kHang).ok());
  for (const char* payload : {"1", "2"}) {
    ASSERT_EQ(publisher->Publish("a", payload), PublishOutcome::kSent);
  }
  Received got = Next(*member);
  ASSERT_EQ(got.message.payload, "1");
  ASSERT_NE(got.delivery.ack_id, 0u);
  EXPECT_EQ(got.delivery.delivery_count, 1u);
  member->Retry(got.delivery.ack_id);
  std::map<std::string, uint32_t> counts;
  for (int i = 0; i < 2; ++i) {
    got = Next(*member);
    counts[std::string(got.message.payload)] = got.delivery.delivery_count;
    if (got.message.payload == "1") member->Ack(got.delivery.ack_id);
    if (got.message.payload == "2") {
      // Its session dies with it unanswered.
      if (i == 1) break;
      member->Ack(got.delivery.ack_id);
    }
  }
  EXPECT_EQ(counts["1"], 2u);
  EXPECT_EQ(counts["2"], 1u);
}

TEST(Groups, AnotherMemberGetsWhatALeavingOneHeld) {
  const TestBus bus;
  auto first = bus.Connect();
  ASSERT_TRUE(first->Subscribe("a", Acking("g"), kHang).ok());
  ASSERT_EQ(bus.Connect()->Publish("a", "x"), PublishOutcome::kSent);
  ASSERT_EQ(Next(*first).message.payload, "x");
  const auto second = bus.Connect();
  ASSERT_TRUE(second->Subscribe("a", Acking("g"), kHang).ok());
  first.reset();
  const Received got = Next(*second);
  ASSERT_EQ(got.outcome, ReceiveOutcome::kMessage);
  EXPECT_EQ(got.message.payload, "x");
  EXPECT_EQ(got.delivery.delivery_count, 2u);
  second->Ack(got.delivery.ack_id);
}

TEST(Groups, WhatALeavingMemberTakesAlongIsCounted) {
  const TestBus bus;
  auto member = bus.Connect();
  ASSERT_TRUE(member->Subscribe("a", InGroup("g"), kHang).ok());
  ASSERT_TRUE(member->Subscribe("own", kHang).ok());
  const auto publisher = bus.Connect();
  for (int i = 0; i < 1000; ++i) {
    ASSERT_EQ(publisher->Publish("a", "x"), PublishOutcome::kSent);
    ASSERT_EQ(publisher->Publish("own", "x"), PublishOutcome::kSent);
  }
  ASSERT_TRUE(publisher->Ping(kHang).ok());
  uint64_t handed_out = 0;
  while (handed_out < 100) {
    if (Next(*member).message.topic == "a") ++handed_out;
  }
  const auto other = bus.Connect();
  ASSERT_TRUE(other->Subscribe("a", InGroup("g"), kHang).ok());
  member.reset();
  ASSERT_TRUE(WaitUntil(
      [&] { return bus.broker().CollectStats().sessions_size() == 2; }));
  // What was still in the group's queue goes to the other one.
  other->set_mode(Mode::kNonBlocking);
  uint64_t others = 0;
  EXPECT_TRUE(WaitUntil([&] {
    while (other->Receive().outcome == ReceiveOutcome::kMessage) ++others;
    return handed_out + bus.Count("messages_taken_along") + others == 1000;
  })) << bus.Count("messages_taken_along")
      << " and " << others;
  EXPECT_GT(bus.Count("messages_taken_along"), 0u);
}

TEST(Groups, AMemberThatDrainsBeforeItLeavesLosesNothing) {
  const TestBus bus;
  auto member = bus.Connect();
  ASSERT_TRUE(member->Subscribe("a", InGroup("g"), kHang).ok());
  const auto publisher = bus.Connect();
  for (int i = 0; i < 1000; ++i) {
    ASSERT_EQ(publisher->Publish("a", "x"), PublishOutcome::kSent);
  }
  ASSERT_TRUE(publisher->Ping(kHang).ok());
  ASSERT_TRUE(member->Unsubscribe("a", "g", kHang).ok());
  member->set_mode(Mode::kNonBlocking);
  uint64_t handed_out = 0;
  while (member->Receive().outcome == ReceiveOutcome::kMessage) ++handed_out;
  member.reset();
  EXPECT_EQ(handed_out + bus.Count("messages_abandoned"), 1000u);
  EXPECT_EQ(bus.Count("messages_taken_along"), 0u);
}

TEST(AckIds, OfASessionBeforeAnswerNothing) {
  AckIds ids;
  EXPECT_EQ(ids.Show(0, 1), 0u);
  const uint64_t first = ids.Show(1, 1);
  EXPECT_EQ(ids.Find(first, 1), 1u);
  EXPECT_EQ(ids.Find(first, 2), std::nullopt) << "its session is over";
  const uint64_t second = ids.Show(1, 2);
  EXPECT_NE(second, first);
  EXPECT_EQ(ids.Find(second, 2), 1u);
  EXPECT_EQ(ids.Find(first, 2), std::nullopt);
}

}  // namespace
}  // namespace fifobus
