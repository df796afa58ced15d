// Queue groups over a log, with a source that a test fills.

#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "broker/core/groups/group.h"
#include "broker/core/groups/group_source.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/frame_writer.h"
#include "tests/support/group_fakes.h"

namespace fifobus {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

// What outlives the groups over it.
struct FakeLog {
  std::vector<std::string> units;  // at offset 1, 2, ...
  std::set<uint64_t> settled;
};

// Reads a FakeLog from the first offset that is not settled.
class FakeSource : public GroupSource {
 public:
  pb::state::LogGroupSource Export() const override { return {}; }
  explicit FakeSource(FakeLog& log) : log_(log) {}

  void Begin(std::shared_ptr<Egress> egress) override {
    egress_ = std::move(egress);
    OnRoom();
  }
  void End() override { egress_.reset(); }
  void Settle(absl::Span<const uint64_t> offsets) override {
    for (const uint64_t offset : offsets) {
      EXPECT_TRUE(log_.settled.insert(offset).second) << offset;
    }
  }
  void OnRoom() override {
    for (; egress_ && next_ < log_.units.size(); ++next_) {
      if (log_.settled.contains(next_ + 1)) continue;
      const std::string& unit = log_.units[next_];
      const Slice slice{unit.data(), unit.size()};
      if (egress_->OfferIfRoom({&slice, 1}).bytes_taken == 0) return;
    }
  }

 private:
  FakeLog& log_;
  std::shared_ptr<Egress> egress_;
  size_t next_ = 0;
};

AckRule Rule(uint32_t unacked_max, uint32_t deliveries_max = 5) {
  AckRule rule;
  rule.unacked_max = unacked_max;
  rule.deliveries_max = deliveries_max;
  return rule;
}

class LoggedGroup : public testing::Test {
 protected:
  void Store(const std::string& payload, uint64_t expiry_unix_nanos = 0) {
    std::string unit(kStoredDeliveryBytes, 0);
    const uint64_t offset = log_.units.size() + 1;
    WriteStoredDelivery(offset, 1000 + offset, unit.data());
    MessageFields fields;
    fields.topic = "t";
    fields.payload = payload;
    fields.expiry_unix_nanos = expiry_unix_nanos;
    AppendMessageFrame(fields, unit);
    log_.units.push_back(unit);
    if (source_) source_->OnRoom();
  }
  bool Join(FakeMember& member, const AckRule& rule) {
    return member.JoinLogged("g", rule, [this](GroupHost&) {
      source_ = std::make_shared<FakeSource>(log_);
      return source_;
    });
  }
  std::unique_ptr<FakeMember> NewMember(const AckRule& rule) {
    auto member = std::make_unique<FakeMember>(core_);
    EXPECT_TRUE(Join(*member, rule));
    return member;
  }
  pb::StatsReply::Reader Stats() const {
    pb::StatsReply::Reader reader;
    reader.set_name("reader");
    core_.groups.AddToStats("log", reader);
    return reader;
  }

  FakeLog log_;
  std::shared_ptr<FakeSource> source_;
  FakeCore core_;
};

TEST_F(LoggedGroup, DeliveriesNameTheOffsetAndTheTimeOfTheLog) {
  Store("1");
  Store("2");
  const auto a = NewMember(Rule(2));
  const auto got = a->Take();
  ASSERT_THAT(got, SizeIs(2));
  EXPECT_EQ(got[1].payload, "2");
  EXPECT_EQ(got[1].offset, 2u);
  EXPECT_EQ(got[1].stored_time_unix_nanos, 1002u);
  EXPECT_EQ(got[1].count, 1u);
  EXPECT_NE(got[1].ack_id, 0u);
  a->Answer({got[1].ack_id}, pb::Ack::VERDICT_RETRY);
  const auto again = a->Take();
  ASSERT_THAT(again, SizeIs(1));
  EXPECT_EQ(again[0].offset, 2u);
  EXPECT_EQ(again[0].stored_time_unix_nanos, 1002u);
  EXPECT_EQ(again[0].count, 2u);
}

TEST_F(LoggedGroup, WhatIsDoneIsSettledAndNothingElse) {
  for (const char* payload : {"1", "2", "3"}) Store(payload);
  const auto a = NewMember(Rule(3));
  const auto got = a->Take();
  ASSERT_THAT(got, SizeIs(3));
  a->Answer({got[0].ack_id}, pb::Ack::VERDICT_RETRY);
  a->Answer({got[1].ack_id}, pb::Ack::VERDICT_EXTEND);
  EXPECT_THAT(log_.settled, IsEmpty());
  a->Answer({got[2].ack_id});
  EXPECT_THAT(log_.settled, ElementsAre(3));
}

TEST_F(LoggedGroup, MembersGetWhatTheyMayHoldAndTheRestStaysInTheLog) {
  for (int i = 1; i <= 100; ++i) Store(std::to_string(i));
  const auto a = NewMember(Rule(2));
  const auto b = NewMember(Rule(2));
  std::vector<std::string> seen;
  while (log_.settled.size() < 100) {
    size_t taken = 0;
    for (FakeMember* const member : {a.get(), b.get()}) {
      for (const auto& one : member->Take()) {
        ++taken;
        seen.push_back(one.payload);
        member->Answer({one.ack_id});
      }
    }
    ASSERT_GT(taken, 0u);
    ASSERT_LE(Stats().unacked(), 4u);
  }
  EXPECT_THAT(seen, SizeIs(100));
}

TEST_F(LoggedGroup, EndsWithItsLastMemberAndBeginsWithWhatIsNotSettled) {
  for (const char* payload : {"1", "2", "3"}) Store(payload);
  auto a = NewMember(Rule(2));
  a->Answer({a->Take().at(1).ack_id});
  EXPECT_EQ(Stats().group(), "g");
  a.reset();
  EXPECT_EQ(Stats().group(), "");
  EXPECT_EQ(core_.counters.messages_abandoned.value(), 0u);
  core_.host.Advance(core_.options.group_linger);
  EXPECT_EQ(core_.host.timers(), 0u);
  const auto b = NewMember(Rule(5));
  const auto got = b->Take();
  ASSERT_THAT(got, SizeIs(2));
  EXPECT_EQ(got[0].payload, "1");
  EXPECT_EQ(got[0].count, 2u) << "the first delivery may have been worked on";
  EXPECT_EQ(got[1].payload, "3");
  EXPECT_EQ(Stats().redelivered(), core_.counters.messages_redelivered.value());
}

TEST_F(LoggedGroup, AMessageThatKillsEachLoneWorkerBecomesADeadLetter) {
  Store("bad");
  Store("good");
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(core_.host.letters, IsEmpty());
    EXPECT_THAT(NewMember(Rule(1, 3))->TakePayloads(), ElementsAre("bad"));
  }
  ASSERT_THAT(core_.host.letters, SizeIs(1));
  EXPECT_EQ(core_.host.letters[0].message.deliveries(), 3u);
  EXPECT_THAT(log_.settled, IsEmpty()) << "it is not published yet";
  core_.PublishDead();
  EXPECT_THAT(log_.settled, ElementsAre(1));
  EXPECT_THAT(NewMember(Rule(1, 3))->TakePayloads(), ElementsAre("good"));
}

TEST_F(LoggedGroup, WhatHasExpiredInTheLogIsSettledWithAGap) {
  Store("old", 1);
  Store("1");
  Store("old", 1);
  const auto a = NewMember(Rule(1));
  core_.host.Advance(absl::ZeroDuration());
  auto got = a->Take();
  ASSERT_THAT(got, SizeIs(2));
  EXPECT_EQ(got[0].payload, "1");
  EXPECT_EQ(got[1].payload, "(gap 1)");
  EXPECT_THAT(log_.settled, ElementsAre(1));
  a->Answer({got[0].ack_id});
  core_.host.Advance(absl::ZeroDuration());
  EXPECT_THAT(a->TakePayloads(), ElementsAre("(gap 1)"));
  EXPECT_THAT(log_.settled, ElementsAre(1, 2, 3));
  EXPECT_EQ(core_.counters.messages_expired.value(), 2u);
}

TEST_F(LoggedGroup, WhatExpiresBeforeItsNextDeliveryIsSettled) {
  const auto a = NewMember(Rule(1));
  uint64_t expiry = 0;
  std::vector<FakeMember::Delivered> got;
  // On a busy machine it may have expired when it is stored: once more then.
  while (got.empty() || got[0].ack_id == 0) {
    expiry = static_cast<uint64_t>(absl::GetCurrentTimeNanos()) + 20'000'000;
    Store("1", expiry);
    core_.host.Advance(absl::ZeroDuration());
    got = a->Take();
  }
  while (static_cast<uint64_t>(absl::GetCurrentTimeNanos()) < expiry) {
  }
  a->Answer({got[0].ack_id}, pb::Ack::VERDICT_RETRY);
  EXPECT_THAT(a->TakePayloads(), ElementsAre("(gap 1)"));
  EXPECT_TRUE(log_.settled.contains(got[0].offset));
}

TEST_F(LoggedGroup, AMemberThatHasUnsubscribedMayStillAnswer) {
  Store("1");
  Store("2");
  const auto a = NewMember(Rule(1));
  const auto got = a->Take();
  ASSERT_THAT(got, SizeIs(1));
  a->Leave("g");
  a->Answer({got[0].ack_id});
  EXPECT_THAT(log_.settled, ElementsAre(1));
  EXPECT_THAT(a->Take(), IsEmpty());
  ASSERT_TRUE(Join(*a, Rule(7))) << "nobody is left of the group before";
  EXPECT_THAT(a->TakePayloads(), ElementsAre("2"));
}

TEST_F(LoggedGroup, WhatALastMemberHoldsIsNotGivenToTheNextBeforeItIsDead) {
  Store("1");
  Store("2");
  const auto a = NewMember(Rule(1));
  ASSERT_THAT(a->TakePayloads(), ElementsAre("1"));
  a->Leave("g");
  const auto b = NewMember(Rule(1));
  const auto got = b->Take();
  ASSERT_THAT(got, SizeIs(1));
  EXPECT_EQ(got[0].payload, "2");
  b->Answer({got[0].ack_id});
  a->Die();
  EXPECT_THAT(b->TakePayloads(), ElementsAre("1"));
}

TEST_F(LoggedGroup, OtherRulesThanTheGroupsAreRefused) {
  const auto a = NewMember(Rule(1));
  FakeMember b(core_);
  EXPECT_FALSE(Join(b, Rule(2)));
  EXPECT_TRUE(Join(b, Rule(1)));
}

TEST_F(LoggedGroup, IsNoSubscriberOfItsPattern) {
  const auto a = NewMember(Rule(5));
  core_.Publish({"live"});
  EXPECT_THAT(a->Take(), IsEmpty());
  EXPECT_FALSE(core_.router.HasSubscriber("t"));
  EXPECT_EQ(core_.Stats().groups_size(), 0);
}

}  // namespace
}  // namespace fifobus
