#include "clients/cli/bridge/out_chain.h"

#include <algorithm>
#include <deque>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "fmt/format.h"
#include "gtest/gtest.h"

namespace fifobus::bridge {
namespace {

constexpr OutChain::Limits kLimits = {8, 1000};

OutMessage Made(uint64_t offset, uint64_t stored = 0, size_t bytes = 1) {
  OutMessage out;
  out.offset = offset;
  out.stored_unix_nanos = stored == 0 ? 1000 + offset : stored;
  out.message.payload = fmt::format("{:0{}}", offset, bytes);
  return out;
}

PubAck Ack(PubAck::Outcome outcome, uint64_t sequence = 0) {
  PubAck ack;
  ack.outcome = outcome;
  ack.sequence = sequence;
  return ack;
}
PubAck Stored(uint64_t sequence) {
  return Ack(PubAck::Outcome::kStored, sequence);
}

class OutChainTest : public testing::Test {
 protected:
  OutChain::Taken Take(uint64_t offset, uint64_t stored = 0) {
    return chain_.Take(Made(offset, stored));
  }
  // Offsets of all that is to be sent now.
  std::vector<uint64_t> Sent() {
    std::vector<uint64_t> offsets;
    while (auto next = chain_.NextToSend()) {
      offsets.push_back(next->first);
      messages_.push_back(std::move(next->second));
    }
    return offsets;
  }
  OutChain::AckResult On(uint64_t offset, const PubAck& ack) {
    return chain_.OnAck(chain_.round(), offset, ack);
  }
  static std::optional<MessageId> Id(uint64_t offset, uint64_t stored = 0) {
    return MessageId{"edge1", "r", offset,
                     stored == 0 ? 1000 + offset : stored};
  }

  OutChain chain_{"edge1", "r", /*shared=*/false, kLimits};
  std::vector<NatsMessage> messages_;
};

using Taken = OutChain::Taken;
using Result = OutChain::AckResult;

TEST(MessageIdTest, ComesBack) {
  const MessageId id = {"edge1", "nats-S", 42, 7};
  EXPECT_EQ(id.ToString(), "edge1/nats-S/42/7");
  EXPECT_EQ(MessageId::Parse(id.ToString()), id);
  for (const char* other : {"", "42", "a/b/c/d", "a/b/1", "a/b/1/2/3"}) {
    EXPECT_FALSE(MessageId::Parse(other).has_value()) << other;
  }
}

TEST_F(OutChainTest, NothingIsSentBeforeTheStreamsEndIsKnown) {
  chain_.BeginRound();
  EXPECT_EQ(Take(5), Taken::kTaken);
  EXPECT_TRUE(Sent().empty());
  (void)chain_.OnStreamEnd(10, std::nullopt);
  EXPECT_EQ(Take(7), Taken::kTaken);
  EXPECT_EQ(Sent(), (std::vector<uint64_t>{5, 7}));
  EXPECT_EQ(messages_[0].header("Nats-Expected-Last-Sequence"), "10");
  EXPECT_EQ(messages_[1].header("Nats-Expected-Last-Sequence"), "11");
  EXPECT_EQ(messages_[1].header("Nats-Msg-Id"), "edge1/r/7/1007");
}

TEST_F(OutChainTest, WhatIsAcknowledgedIsDoneUpToTheFirstThatIsNot) {
  chain_.BeginRound();
  (void)chain_.OnStreamEnd(0, std::nullopt);
  for (const uint64_t offset : {5, 6, 9}) {
    EXPECT_EQ(Take(offset), Taken::kTaken);
  }
  EXPECT_EQ(Sent().size(), 3U);
  EXPECT_EQ(chain_.done_offset(), 4U);
  EXPECT_EQ(On(5, Stored(1)), Result::kGood);
  EXPECT_EQ(chain_.done_offset(), 5U);
  // The acknowledgement of 6 is lost; that of 9 says it as well.
  EXPECT_EQ(On(9, Stored(3)), Result::kGood);
  EXPECT_EQ(chain_.done_offset(), 9U);
  EXPECT_EQ(chain_.stored(), 3U);
  chain_.Pass(12);
  EXPECT_EQ(chain_.done_offset(), 12U);
}

TEST_F(OutChainTest, ABrokenChainGoesOnBehindWhatTheStreamHas) {
  chain_.BeginRound();
  (void)chain_.OnStreamEnd(0, std::nullopt);
  for (uint64_t offset = 1; offset <= 4; ++offset) {
    EXPECT_EQ(Take(offset), Taken::kTaken);
  }
  EXPECT_EQ(Sent().size(), 4U);
  EXPECT_EQ(On(3, Ack(PubAck::Outcome::kWrongPlace)), Result::kBroken);
  const uint64_t before = chain_.round();
  chain_.BeginRound();
  EXPECT_EQ(chain_.OnAck(before, 1, Stored(1)), Result::kStale);
  (void)chain_.OnStreamEnd(2, Id(2));
  EXPECT_EQ(Sent(), (std::vector<uint64_t>{3, 4}));
  EXPECT_EQ(messages_[4].header("Nats-Expected-Last-Sequence"), "2");
  EXPECT_EQ(chain_.resent(), 2U);
  EXPECT_EQ(chain_.done_offset(), 2U);
}

TEST_F(OutChainTest, WhatTheStreamHasLostIsReadAndSentAgain) {
  chain_.BeginRound();
  (void)chain_.OnStreamEnd(0, std::nullopt);
  for (uint64_t offset = 1; offset <= 4; ++offset) {
    EXPECT_EQ(Take(offset), Taken::kTaken);
  }
  EXPECT_EQ(Sent().size(), 4U);
  EXPECT_EQ(On(3, Stored(3)), Result::kGood);
  EXPECT_EQ(On(4, Ack(PubAck::Outcome::kWrongPlace)), Result::kBroken);
  chain_.BeginRound();
  EXPECT_EQ(chain_.OnStreamEnd(1, Id(1)), OutChain::EndOutcome::kLost);
  EXPECT_TRUE(Sent().empty());
  EXPECT_EQ(chain_.done_offset(), 1U);
  for (uint64_t offset = 2; offset <= 4; ++offset) {
    EXPECT_EQ(Take(offset), Taken::kTaken);
  }
  EXPECT_EQ(chain_.OnStreamEnd(1, Id(1)), OutChain::EndOutcome::kGoesOn);
  EXPECT_EQ(Sent(), (std::vector<uint64_t>{2, 3, 4}));
}

TEST_F(OutChainTest, WhatSomebodyRemovesFromTheStreamStaysRemoved) {
  chain_.BeginRound();
  (void)chain_.OnStreamEnd(0, std::nullopt);
  for (uint64_t offset = 1; offset <= 3; ++offset) {
    EXPECT_EQ(Take(offset), Taken::kTaken);
  }
  EXPECT_EQ(Sent().size(), 3U);
  EXPECT_EQ(On(3, Stored(3)), Result::kGood);
  chain_.BeginRound();
  EXPECT_EQ(chain_.OnStreamEnd(3, Id(1)), OutChain::EndOutcome::kGoesOn);
}

TEST_F(OutChainTest, ANewBridgePassesOverWhatTheStreamHas) {
  chain_.BeginRound();
  (void)chain_.OnStreamEnd(40, Id(3));
  EXPECT_EQ(Take(1), Taken::kHadBefore);
  EXPECT_EQ(Take(2), Taken::kHadBefore);
  // The log has not proved yet to be the one that the stream has messages of.
  EXPECT_EQ(chain_.done_offset(), 0U);
  EXPECT_EQ(Take(3), Taken::kHadBefore);
  EXPECT_EQ(chain_.done_offset(), 3U);
  EXPECT_EQ(Take(4), Taken::kTaken);
  EXPECT_EQ(Sent(), (std::vector<uint64_t>{4}));
  EXPECT_EQ(messages_[0].header("Nats-Expected-Last-Sequence"), "40");
}

TEST_F(OutChainTest, ALogThatWasMadeAnewIsSentFromItsBeginning) {
  chain_.BeginRound();
  (void)chain_.OnStreamEnd(40, Id(3, 500));
  EXPECT_EQ(Take(1, 900), Taken::kOtherLog);
  chain_.BeginNewLog();
  EXPECT_EQ(Take(1, 900), Taken::kTaken);
  (void)chain_.OnStreamEnd(40, Id(3, 500));
  EXPECT_EQ(Take(2, 901), Taken::kTaken);
  EXPECT_EQ(Sent(), (std::vector<uint64_t>{1, 2}));
}

TEST_F(OutChainTest, ALogThatIsShorterThanItsCopyWasMadeAnew) {
  chain_.BeginRound();
  (void)chain_.OnStreamEnd(40, Id(3, 1003));
  EXPECT_EQ(Take(1), Taken::kHadBefore);
  EXPECT_EQ(chain_.OnLogEnd(4), Taken::kTaken);
  EXPECT_EQ(chain_.OnLogEnd(2), Taken::kOtherLog);
}

TEST_F(OutChainTest, WhatOthersHaveWrittenIsNoPlaceToResumeAt) {
  chain_.BeginRound();
  (void)chain_.OnStreamEnd(40, MessageId{"edge2", "r", 100, 1});
  EXPECT_EQ(Take(1), Taken::kTaken);
  EXPECT_EQ(Sent(), (std::vector<uint64_t>{1}));
}

TEST_F(OutChainTest, AMessageThatComesAgainIsNotTakenAgain) {
  EXPECT_EQ(Take(1), Taken::kTaken);
  EXPECT_EQ(Take(2), Taken::kTaken);
  EXPECT_EQ(Take(1), Taken::kHadBefore);
  EXPECT_EQ(Take(2), Taken::kHadBefore);
  EXPECT_EQ(Take(1, 5000), Taken::kOtherLog);
  EXPECT_EQ(chain_.held(), 2U);
}

TEST_F(OutChainTest, TheWindowIsBoundedInMessagesAndBytes) {
  for (uint64_t offset = 1; chain_.HasRoom(); ++offset) {
    EXPECT_EQ(Take(offset), Taken::kTaken);
  }
  EXPECT_EQ(chain_.held(), kLimits.messages);
  OutChain large("edge1", "r", /*shared=*/false, kLimits);
  EXPECT_EQ(large.Take(Made(1, 0, 1001)), Taken::kTaken);
  EXPECT_FALSE(large.HasRoom());
}

TEST_F(OutChainTest, AMessageThatIsTooLargeLeavesTheChain) {
  chain_.BeginRound();
  (void)chain_.OnStreamEnd(0, std::nullopt);
  for (const uint64_t offset : {1, 2, 3}) {
    EXPECT_EQ(Take(offset), Taken::kTaken);
  }
  EXPECT_EQ(Sent().size(), 3U);
  EXPECT_EQ(On(2, Ack(PubAck::Outcome::kTooLarge)), Result::kTooLarge);
  const auto refused = chain_.TakeRefused(2);
  ASSERT_TRUE(refused.has_value());
  EXPECT_EQ(refused->offset, 2U);
  EXPECT_FALSE(chain_.TakeRefused(2).has_value());
  (void)chain_.OnStreamEnd(1, Id(1));
  EXPECT_EQ(Sent(), (std::vector<uint64_t>{3}));
  EXPECT_EQ(chain_.done_offset(), 2U);
}

TEST_F(OutChainTest, ASharedStreamIsToldNoPlaceAndSentAllAgain) {
  OutChain shared("edge1", "r", /*shared=*/true, kLimits);
  shared.BeginRound();
  (void)shared.OnStreamEnd(7, std::nullopt);
  for (const uint64_t offset : {1, 2, 3}) {
    EXPECT_EQ(shared.Take(Made(offset)), Taken::kTaken);
  }
  while (auto next = shared.NextToSend()) {
    EXPECT_FALSE(next->second.header("Nats-Expected-Last-Sequence"));
  }
  EXPECT_EQ(shared.OnAck(shared.round(), 2, Stored(9)), Result::kGood);
  EXPECT_EQ(shared.done_offset(), 0U);
  shared.BeginRound();
  (void)shared.OnStreamEnd(9, std::nullopt);
  EXPECT_EQ(shared.NextToSend()->first, 1U);
  EXPECT_EQ(shared.NextToSend()->first, 3U);
  EXPECT_EQ(
      shared.OnAck(shared.round(), 1, Ack(PubAck::Outcome::kDuplicate, 8)),
      Result::kGood);
  EXPECT_EQ(shared.done_offset(), 2U);
}

// A stream as JetStream is one: it takes what expects its end, and remembers ids
// for a while.
class Stream {
 public:
  PubAck Take(const NatsMessage& message) {
    const std::string id(*message.header("Nats-Msg-Id"));
    if (std::find(known_.begin(), known_.end(), id) != known_.end()) {
      return Ack(PubAck::Outcome::kDuplicate, 1);
    }
    if (message.header("Nats-Expected-Last-Sequence") !=
        std::to_string(ids_.size())) {
      return Ack(PubAck::Outcome::kWrongPlace);
    }
    ids_.push_back(id);
    known_.push_back(id);
    return Stored(ids_.size());
  }
  void ForgetIds() { known_.clear(); }
  void TellEnd(OutChain& chain) const {
    (void)chain.OnStreamEnd(ids_.size(), ids_.empty()
                                             ? std::nullopt
                                             : MessageId::Parse(ids_.back()));
  }
  const std::vector<std::string>& ids() const { return ids_; }

 private:
  std::vector<std::string> ids_;
  std::vector<std::string> known_;
};

// What is on its way to the stream, and comes there late, or never.
struct OnWay {
  uint64_t round;
  uint64_t offset;
  NatsMessage message;
};

TEST(OutChainSimulation, EachMessageComesOnceAndInOrderThroughAllFaults) {
  const auto seed = std::random_device()();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  std::minstd_rand random(seed);
  const auto chance = [&random](int percent) {
    return static_cast<int>(random() % 100) < percent;
  };
  constexpr uint64_t kOffsets = 3000;
  // Not all of the log's messages are of the pattern.
  std::vector<uint64_t> log;
  for (uint64_t offset = 1; offset <= kOffsets; ++offset) {
    if (!chance(20)) log.push_back(offset);
  }
  Stream stream;
  std::deque<OnWay> on_way;
  auto chain = std::make_unique<OutChain>("edge1", "r", false, kLimits);
  uint64_t position = 0;  // of the durable reader: done
  size_t read = 0;        // of log
  chain->BeginRound();
  stream.TellEnd(*chain);
  for (int step = 0; position < log.back(); ++step) {
    ASSERT_LT(step, 2'000'000);
    if (chance(1)) {
      // The bridge is killed. What it said last of its position may be lost.
      chain = std::make_unique<OutChain>("edge1", "r", false, kLimits);
      position -= std::min<uint64_t>(position, random() % 10);
      read = static_cast<size_t>(
          std::upper_bound(log.begin(), log.end(), position) - log.begin());
      chain->BeginRound();
      stream.TellEnd(*chain);
    }
    if (chance(2)) stream.ForgetIds();
    if (chance(2)) {
      // A new connection; what is on its way may still come. A new leader may
      // say an end that is not the last one any more when the next comes.
      chain->BeginRound();
      stream.TellEnd(*chain);
    }
    while (chain->HasRoom() && read < log.size() && chance(70)) {
      ASSERT_NE(chain->Take(Made(log[read++])), OutChain::Taken::kOtherLog);
    }
    while (auto next = chain->NextToSend()) {
      if (!chance(3)) {
        on_way.push_back(
            {chain->round(), next->first, std::move(next->second)});
      }
    }
    while (!on_way.empty() && chance(60)) {
      const OnWay arriving = std::move(on_way.front());
      on_way.pop_front();
      const PubAck ack = stream.Take(arriving.message);
      if (chance(5)) continue;  // the answer is lost
      if (chain->OnAck(arriving.round, arriving.offset, ack) ==
          OutChain::AckResult::kBroken) {
        chain->BeginRound();
        stream.TellEnd(*chain);
      }
    }
    position = std::max(position, chain->done_offset());
  }
  std::vector<std::string> expected;
  for (const uint64_t offset : log) {
    expected.push_back(
        MessageId{"edge1", "r", offset, 1000 + offset}.ToString());
  }
  EXPECT_EQ(stream.ids(), expected);
}

}  // namespace
}  // namespace fifobus::bridge
