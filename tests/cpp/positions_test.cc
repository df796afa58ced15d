#include "clients/cpp/internal/positions.h"

#include <cstdint>
#include <string>

#include "gtest/gtest.h"
#include "proto/frame.h"
#include "proto/frame.pb.h"
#include "proto/frame_writer.h"

namespace fifobus {
namespace {

using Fate = Positions::Taken::Fate;

class PositionsTest : public testing::Test {
 protected:
  Subscriptions::Subscription& Add(const std::string& pattern,
                                   const std::string& durable) {
    SubscribeOptions options;
    options.durable = durable;
    if (durable.empty()) options.start = Start::First();
    auto& added = subscriptions_.Add(pattern, options);
    added.request_id = 100 + added.number;
    return added;
  }

  // "REQUEST:OFFSET " for each.
  std::string Acks() {
    std::string bytes;
    positions_.AppendAcks(bytes);
    std::string text;
    std::string_view rest = bytes;
    while (!rest.empty()) {
      const size_t size = FindFrame(rest, kFrameBytesMaxDefault).frame_bytes;
      pb::Frame frame;
      EXPECT_TRUE(frame.ParseFromArray(rest.data() + kFramePrefixBytes,
                                       static_cast<int>(size) - 4));
      text += std::to_string(frame.ack().subscription()) + ":" +
              std::to_string(frame.ack().up_to_offset()) + " ";
      rest.remove_prefix(size);
    }
    return text;
  }

  Subscriptions subscriptions_;
  Positions positions_{subscriptions_};
};

TEST_F(PositionsTest, EachReaderHasItsOwnPosition) {
  Add("a/*", "one");
  Add("b/*", "two");
  EXPECT_EQ(positions_.OnTaken("a/x", 1).subscription, 1U);
  positions_.OnReceive();
  EXPECT_EQ(positions_.OnTaken("b/x", 7).subscription, 2U);
  positions_.OnReceive();
  EXPECT_EQ(positions_.OnTaken("a/y", 3).subscription, 1U);
  EXPECT_EQ(Acks(), "101:1 102:7 ");
  positions_.OnReceive();
  EXPECT_EQ(Acks(), "101:3 ");
  EXPECT_EQ(Acks(), "");
}

TEST_F(PositionsTest, AMessageOfNoReaderIsNobodys) {
  Add("a", "one");
  const Positions::Taken taken = positions_.OnTaken("c", 1);
  EXPECT_EQ(taken.fate, Fate::kNew);
  EXPECT_EQ(taken.subscription, 0U);
  EXPECT_FALSE(positions_.has_taken());
}

TEST_F(PositionsTest, OnlyAResumedReaderKnowsRepetitions) {
  auto& reader = Add("a", "");
  EXPECT_EQ(positions_.OnTaken("a", 5).fate, Fate::kNew);
  EXPECT_EQ(positions_.OnTaken("a", 5).fate, Fate::kNew);
  const pb::Frame again = Subscriptions::Ask(reader, 200);
  EXPECT_EQ(again.subscribe().start().offset(), 6U);
  EXPECT_EQ(positions_.OnTaken("a", 5).fate, Fate::kRepeated);
  EXPECT_EQ(positions_.OnTaken("a", 6).fate, Fate::kNew);
}

TEST_F(PositionsTest, ANewSessionIsToldWhatWasNotTold) {
  Add("a", "one");
  Add("b", "two");
  positions_.OnDone(1, 4);
  EXPECT_EQ(Acks(), "101:4 ");
  positions_.OnDone(2, 9);
  positions_.OnSessionBegun();
  EXPECT_TRUE(positions_.has_acks());
  EXPECT_EQ(Acks(), "102:9 ");
  // A position that was set back is gone through again.
  (void)positions_.OnTaken("a", 4);
  positions_.OnReceive();
  EXPECT_EQ(Acks(), "101:4 ");
}

TEST_F(PositionsTest, ARemovedReaderIsForgotten) {
  const auto& reader = Add("a", "one");
  (void)positions_.OnTaken("a", 4);
  positions_.OnRemove(&reader);
  EXPECT_FALSE(positions_.has_taken());
}

TEST_F(PositionsTest, StoredMessagesWithoutAckIdsAreCounted) {
  std::string frames;
  MessageFields message;
  message.topic = "a";
  DeliveryView delivery;
  delivery.offset = 3;
  AppendDeliveryFrame(delivery, frames);
  AppendMessageFrame(message, frames);
  AppendMessageFrame(message, frames);
  delivery.ack_id = 1;
  AppendDeliveryFrame(delivery, frames);
  AppendMessageFrame(message, frames);
  EXPECT_EQ(CountReadMessages(frames), 1U);
  EXPECT_EQ(CountReadMessages(frames.substr(0, 10)), 0U);
}

}  // namespace
}  // namespace fifobus
