// Queue groups over an upgrade: the new broker goes on where the old one stood.

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "broker/base/log.h"
#include "broker/core/groups/group.h"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/group_fakes.h"

namespace fifobus {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;
using testing::UnorderedElementsAre;

constexpr pb::Ack::Verdict kRetry = pb::Ack::VERDICT_RETRY;
constexpr pb::Ack::Verdict kExtend = pb::Ack::VERDICT_EXTEND;

// Two members of a group, before and after an upgrade. The old ones live on
// unseen: what they still do reaches nobody.
class UpgradedGroup : public testing::Test {
 protected:
  UpgradedGroup() { StartLog(LogLevel::kOff); }

  void Start(const std::optional<AckRule>& rule) {
    a_ = std::make_unique<FakeMember>(*core_, "g", rule);
    b_ = std::make_unique<FakeMember>(*core_, "g", rule);
  }

  void Upgrade() {
    auto next = std::make_unique<FakeCore>();
    next->options = core_->options;
    next->TakeOver(*core_);
    std::unique_ptr<FakeMember> a;
    std::unique_ptr<FakeMember> b;
    if (a_) a = std::make_unique<FakeMember>(*next, *a_);
    if (b_) b = std::make_unique<FakeMember>(*next, *b_);
    EXPECT_TRUE(!a || a->Take().empty()) << "a restoring is silent";
    EXPECT_TRUE(!b || b->Take().empty());
    a_ = std::move(a);
    b_ = std::move(b);
    core_ = std::move(next);
    core_->groups.Resume();
  }

  uint64_t unacked() const { return core_->Stats().groups(0).unacked(); }

  std::unique_ptr<FakeCore> core_ = std::make_unique<FakeCore>();
  std::unique_ptr<FakeMember> a_;
  std::unique_ptr<FakeMember> b_;
};

TEST_F(UpgradedGroup, AMessageKeepsItsDeadlineAndThenGoesToTheOther) {
  Start(AckRule());
  core_->Publish({"1"});
  ASSERT_THAT(a_->TakePayloads(), ElementsAre("1"));
  core_->host.Advance(absl::Seconds(12));
  Upgrade();
  core_->host.Advance(absl::Seconds(17));
  EXPECT_THAT(b_->Take(), IsEmpty());
  core_->host.Advance(absl::Seconds(1));
  const auto got = b_->Take();
  ASSERT_THAT(got, SizeIs(1));
  EXPECT_EQ(got[0].payload, "1");
  EXPECT_EQ(got[0].count, 2u);
  EXPECT_THAT(a_->Take(), IsEmpty());
}

TEST_F(UpgradedGroup, ADeadlineThatPassesMeanwhileIsNotForgotten) {
  Start(AckRule());
  core_->Publish({"1"});
  const uint64_t late = a_->Take().at(0).ack_id;
  core_->host.Advance(absl::Seconds(29));
  auto next = std::make_unique<FakeCore>();
  next->TakeOver(*core_);
  next->host.Advance(absl::Seconds(5));  // the upgrade is slow
  FakeMember a(*next, *a_);
  FakeMember b(*next, *b_);
  next->groups.Resume();
  next->host.Advance(absl::ZeroDuration());
  EXPECT_THAT(b.TakePayloads(), ElementsAre("1"));
  a.Answer({late});
  EXPECT_EQ(next->Stats().groups(0).unacked(), 1u);
}

TEST_F(UpgradedGroup, AnExtendedDeadlineStaysExtended) {
  Start(AckRule{.unacked_max = 2});
  core_->Publish({"1", "2", "3", "4"});
  const auto got = a_->Take();
  ASSERT_THAT(got, SizeIs(2));
  core_->host.Advance(absl::Seconds(20));
  a_->Answer({got[0].ack_id}, kExtend);
  Upgrade();
  core_->host.Advance(absl::Seconds(10));
  EXPECT_EQ(unacked(), 4u) << "three of them once more";
  core_->host.Advance(absl::Seconds(19));
  a_->Answer({got[0].ack_id}, kExtend);
  core_->host.Advance(absl::Seconds(10));
  a_->Answer({got[0].ack_id});
  EXPECT_EQ(core_->Stats().groups(0).redelivered(), 3u);
}

TEST_F(UpgradedGroup, AnswersThatWereUnderWayCount) {
  Start(AckRule{.unacked_max = 3});
  core_->Publish({"1", "2", "3", "4"});
  const auto of_a = a_->Take();
  const auto of_b = b_->Take();
  ASSERT_EQ(of_a.size() + of_b.size(), 4u);
  Upgrade();
  EXPECT_EQ(unacked(), 4u);
  for (const auto& one : of_a) b_->Answer({one.ack_id});
  EXPECT_EQ(unacked(), 4u) << "only the one that holds it answers";
  for (const auto& one : of_a) a_->Answer({one.ack_id});
  for (const auto& one : of_b) b_->Answer({one.ack_id});
  EXPECT_EQ(unacked(), 0u);
  core_->host.Advance(absl::Hours(1));
  EXPECT_EQ(core_->counters.messages_redelivered.value(), 0u);
}

TEST_F(UpgradedGroup, AckIdsAreNotGivenTwice) {
  Start(AckRule());
  core_->Publish({"1", "2"});
  const uint64_t first = a_->Take().at(0).ack_id;
  const uint64_t second = b_->Take().at(0).ack_id;
  Upgrade();
  a_->Answer({first});
  core_->Publish({"3"});
  const auto got = a_->Take();
  ASSERT_THAT(got, SizeIs(1));
  EXPECT_GT(got[0].ack_id, std::max(first, second));
}

TEST_F(UpgradedGroup, DeliveriesBeforeAnUpgradeCountTowardsTheDeadLetter) {
  Start(AckRule{.deliveries_max = 3});
  b_.reset();
  core_->Publish({"1"});
  for (uint32_t delivery = 1; delivery < 3; ++delivery) {
    const auto got = a_->Take();
    ASSERT_THAT(got, SizeIs(1));
    EXPECT_EQ(got[0].count, delivery);
    Upgrade();
    a_->Answer({got[0].ack_id}, kRetry);
    EXPECT_THAT(core_->host.letters, IsEmpty());
  }
  const uint64_t last = a_->Take().at(0).ack_id;
  Upgrade();
  a_->Answer({last}, kRetry);
  ASSERT_THAT(core_->host.letters, SizeIs(1));
  EXPECT_EQ(core_->host.letters[0].message.deliveries(), 3u);
  EXPECT_EQ(core_->Stats().groups(0).dead_lettered(), 1u);
}

TEST_F(UpgradedGroup, WhatWaitsForAMemberComesBeforeWhatIsNew) {
  Start(AckRule());
  core_->Publish({"1", "2"});
  b_.reset();  // holds "2", and a is full
  Upgrade();
  EXPECT_THAT(core_->counters.messages_redelivered.value(), 0u);
  core_->Publish({"3"});
  a_->Answer({1});
  EXPECT_THAT(a_->TakePayloads(), ElementsAre("2"));
}

TEST_F(UpgradedGroup, AMemberThatDoesNotComeBackIsDead) {
  Start(AckRule());
  core_->Publish({"1"});
  ASSERT_THAT(a_->TakePayloads(), ElementsAre("1"));
  auto next = std::make_unique<FakeCore>();
  next->TakeOver(*core_);
  FakeMember b(*next, *b_);
  next->groups.Resume();
  EXPECT_THAT(b.TakePayloads(), ElementsAre("1"));
  EXPECT_EQ(next->Stats().groups(0).members(), 1u);
}

TEST_F(UpgradedGroup, WhoUnsubscribedMayStillAnswer) {
  Start(AckRule());
  core_->Publish({"1"});
  const uint64_t id = a_->Take().at(0).ack_id;
  a_->Leave("g");
  Upgrade();
  core_->Publish({"2", "3"});
  EXPECT_THAT(b_->TakePayloads(), ElementsAre("2"));
  a_->Answer({id});
  EXPECT_EQ(unacked(), 1u);
  EXPECT_THAT(a_->Take(), IsEmpty());
}

TEST_F(UpgradedGroup, TurnsGoOnWithTheNext) {
  Start(std::nullopt);
  core_->Publish({"1"});
  EXPECT_THAT(a_->TakePayloads(), ElementsAre("1"));
  Upgrade();
  core_->Publish({"2"});
  EXPECT_THAT(b_->TakePayloads(), ElementsAre("2"));
  core_->Publish({"3"});
  EXPECT_THAT(a_->TakePayloads(), ElementsAre("3"));
}

TEST_F(UpgradedGroup, MembersThatHoldMoreThanARunKeepAll) {
  Start(AckRule{.unacked_max = 500});
  std::vector<std::string> payloads;
  for (int i = 0; i < 700; ++i) payloads.push_back(fmt::format("{}", i));
  core_->Publish(payloads);
  auto of_a = a_->Take();
  auto of_b = b_->Take();
  ASSERT_EQ(of_a.size() + of_b.size(), 700u);
  Upgrade();
  EXPECT_EQ(unacked(), 700u);
  std::vector<uint64_t> ids;
  for (const auto& one : of_a) ids.push_back(one.ack_id);
  a_->Answer(ids);
  EXPECT_EQ(unacked(), of_b.size());
  b_.reset();  // the rest goes to a, each once
  const auto got = a_->Take();
  EXPECT_EQ(got.size(), of_b.size());
  for (size_t i = 0; i < got.size(); ++i) {
    EXPECT_EQ(got[i].payload, of_b[i].payload);
    EXPECT_EQ(got[i].count, 2u);
  }
}

TEST_F(UpgradedGroup, AGroupWithoutMembersLingersAsLongAsBefore) {
  Start(AckRule());
  core_->Publish({"1", "2", "3"});
  a_.reset();
  b_.reset();
  core_->host.Advance(absl::Seconds(40));
  Upgrade();
  ASSERT_EQ(core_->Stats().groups_size(), 1);
  core_->host.Advance(absl::Seconds(19));
  EXPECT_EQ(core_->Stats().groups_size(), 1);
  core_->host.Advance(absl::Seconds(1));
  EXPECT_EQ(core_->Stats().groups_size(), 0);
  EXPECT_EQ(core_->counters.messages_abandoned.value(), 3u);
}

TEST_F(UpgradedGroup, AMemberThatComesToALingeringGroupGetsWhatItHas) {
  Start(AckRule{.unacked_max = 5});
  core_->Publish({"1", "2"});
  a_.reset();
  b_.reset();
  Upgrade();
  FakeMember c(*core_, "g", AckRule{.unacked_max = 5});
  EXPECT_THAT(c.TakePayloads(), UnorderedElementsAre("1", "2"));
  core_->host.Advance(absl::Seconds(70));
  EXPECT_EQ(core_->Stats().groups_size(), 1);
}

TEST_F(UpgradedGroup, WhatWasBegunIsFinishedAndDealtOnce) {
  Start(std::nullopt);
  a_->SetRoom(5);  // the beginning of a frame
  b_->SetRoom(0);
  core_->Publish({"1", "2", "3", "4"});
  const std::string begun = a_->sink().written;
  ASSERT_EQ(begun.size(), 5u);
  a_->sink().written.clear();
  Upgrade();
  EXPECT_THAT(b_->Take(), IsEmpty());
  EXPECT_EQ(core_->Stats().groups(0).queue().queued_messages(), 3u);
  a_->sink().written = begun;
  a_->MakeRoom(SIZE_MAX);
  EXPECT_THAT(a_->TakePayloads(), ElementsAre("1", "2", "3", "4"));
  b_->MakeRoom(SIZE_MAX);
  EXPECT_THAT(b_->Take(), IsEmpty());
}

TEST_F(UpgradedGroup, WhatAMemberHadNotReadIsCountedWhenItGoes) {
  Start(std::nullopt);
  core_->Publish({"1", "2", "3", "4"});
  a_->sink().unread_bytes = a_->sink().written.size();
  const size_t dealt = a_->Take().size();
  b_->Take();
  Upgrade();
  FakeCore& core = *core_;
  a_.reset();
  EXPECT_EQ(core.counters.messages_taken_along.value(), dealt);
  b_.reset();
  EXPECT_EQ(core.counters.messages_taken_along.value(), dealt);
}

// The group ended with its last member, whose session goes only now.
TEST_F(UpgradedGroup, WhatAMemberOfAnEndedGroupHadNotReadIsCounted) {
  Start(std::nullopt);
  b_.reset();
  core_->Publish({"1", "2", "3"});
  a_->sink().unread_bytes = a_->sink().written.size();
  a_->Take();
  a_->Leave("g");
  ASSERT_EQ(core_->Stats().groups_size(), 0);
  Upgrade();
  EXPECT_EQ(core_->Stats().groups_size(), 0);
  a_.reset();
  EXPECT_EQ(core_->counters.messages_taken_along.value(), 3u);
}

TEST_F(UpgradedGroup, ManyUpgradesAreAsOne) {
  Start(AckRule{.unacked_max = 2});
  core_->Publish({"1", "2", "3", "4"});
  const auto of_a = a_->Take();
  const auto of_b = b_->Take();
  for (int i = 0; i < 20; ++i) Upgrade();
  a_->Answer({of_a.at(0).ack_id, of_a.at(1).ack_id});
  b_->Answer({of_b.at(0).ack_id, of_b.at(1).ack_id});
  EXPECT_EQ(unacked(), 0u);
}

}  // namespace
}  // namespace fifobus
