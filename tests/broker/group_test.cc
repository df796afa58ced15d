// Queue groups without acknowledgements.

#include "broker/core/groups/group.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/group_fakes.h"

namespace fifobus {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

size_t FrameBytes(const std::string& payload) {
  return MessageFrame("t", payload).size();
}

std::vector<std::string> Numbered(int first, int last) {
  std::vector<std::string> payloads;
  for (int i = first; i <= last; ++i) payloads.push_back(fmt::format("{}", i));
  return payloads;
}

TEST(Group, EachMessageGoesToOneMemberInTurn) {
  FakeCore core;
  FakeMember a(core, "g");
  FakeMember b(core, "g");
  for (const char* payload : {"1", "2", "3", "4"}) core.Publish({payload});
  EXPECT_THAT(a.TakePayloads(), ElementsAre("1", "3"));
  EXPECT_THAT(b.TakePayloads(), ElementsAre("2", "4"));
}

TEST(Group, ManyMessagesAreSharedOutInRunsOfNeighbours) {
  FakeCore core;
  FakeMember a(core, "g");
  FakeMember b(core, "g");
  core.Publish(Numbered(1, 5));
  EXPECT_THAT(a.TakePayloads(), ElementsAre("1", "2", "3"));
  EXPECT_THAT(b.TakePayloads(), ElementsAre("4", "5"));
  EXPECT_EQ(a.sink().writes, 1);
  EXPECT_EQ(b.sink().writes, 1);
}

TEST(Group, RunsAreBounded) {
  FakeCore core;
  core.options.group_run_messages_max = 2;
  core.options.group_run_bytes_max = 1000;
  FakeMember a(core, "g");
  FakeMember b(core, "g");
  core.Publish(Numbered(1, 6));
  EXPECT_THAT(a.TakePayloads(), ElementsAre("1", "2", "5", "6"));
  EXPECT_THAT(b.TakePayloads(), ElementsAre("3", "4"));
  const std::string large(900, 'x');
  core.Publish({large, large, large, large});
  EXPECT_THAT(b.TakePayloads(), ElementsAre(large, large));
  EXPECT_EQ(b.sink().writes, 3);
}

TEST(Group, OtherGroupsAndPlainSubscribersGetTheirOwn) {
  FakeCore core;
  FakeMember a(core, "g");
  FakeMember b(core, "h");
  FakeMember both(core, "g");
  core.table.Add("t", both.shared_egress());
  core.Publish({"1", "2"});
  EXPECT_THAT(a.TakePayloads(), ElementsAre("1"));
  EXPECT_THAT(b.TakePayloads(), ElementsAre("1", "2"));
  EXPECT_THAT(both.TakePayloads(),
              testing::UnorderedElementsAre("1", "2", "2"));
  core.table.Remove("t", both.egress().id());
}

TEST(Group, JoiningTwiceIsJoiningOnce) {
  FakeCore core;
  FakeMember a(core, "g");
  EXPECT_TRUE(a.Join("g"));
  FakeMember b(core, "g");
  core.Publish(Numbered(1, 4));
  EXPECT_THAT(a.TakePayloads(), ElementsAre("1", "2"));
  EXPECT_EQ(core.Stats().groups(0).members(), 2u);
  a.Leave("g");
  EXPECT_EQ(core.Stats().groups(0).members(), 1u);
}

TEST(Group, AMemberWithoutRoomIsPassedOver) {
  FakeCore core;
  FakeMember slow(core, "g");
  FakeMember fast(core, "g");
  slow.SetRoom(0);
  core.Publish(Numbered(1, 6));
  EXPECT_THAT(fast.TakePayloads(),
              testing::UnorderedElementsAreArray(Numbered(1, 6)));
  EXPECT_EQ(slow.egress().state().queued_bytes, 0u);
}

TEST(Group, WhileNobodyHasRoomMessagesWaitInTheGroup) {
  FakeCore core;
  FakeMember a(core, "g");
  FakeMember b(core, "g");
  a.SetRoom(0);
  b.SetRoom(0);
  core.Publish(Numbered(1, 4));
  EXPECT_EQ(core.Stats().groups(0).queue().queued_bytes(), 4 * FrameBytes("1"));
  EXPECT_EQ(a.egress().state().queued_bytes, 0u);
  b.MakeRoom(SIZE_MAX);
  EXPECT_THAT(b.TakePayloads(), ElementsAre("1", "2", "3", "4"));
  a.MakeRoom(SIZE_MAX);
  core.Publish({"5", "6"});
  EXPECT_THAT(a.TakePayloads(), testing::SizeIs(1));
}

TEST(Group, OnlyTheRestOfABegunMessageIsQueuedForAMember) {
  FakeCore core;
  FakeMember a(core, "g");
  const size_t frame = FrameBytes("1");
  a.SetRoom(frame + 3);
  core.Publish(Numbered(1, 4));
  EXPECT_EQ(a.egress().state().queued_bytes, frame - 3);
  EXPECT_EQ(core.Stats().groups(0).queue().queued_bytes(), 2 * frame);
  FakeMember b(core, "g");
  EXPECT_THAT(b.TakePayloads(), ElementsAre("3", "4"));
  a.MakeRoom(SIZE_MAX);
  EXPECT_THAT(a.TakePayloads(), ElementsAre("1", "2"));
}

TEST(Group, AMembersDeathHandsOverWhatItWasNotSent) {
  FakeCore core;
  auto dying = std::make_unique<FakeMember>(core, "g");
  FakeMember other(core, "g");
  dying->SetRoom(FrameBytes("1"));
  other.SetRoom(0);
  core.Publish(Numbered(1, 3));
  EXPECT_THAT(dying->TakePayloads(), ElementsAre("1"));
  dying.reset();
  other.MakeRoom(SIZE_MAX);
  EXPECT_THAT(other.TakePayloads(), ElementsAre("2", "3"));
  EXPECT_EQ(core.counters.messages_abandoned.value(), 0u);
}

TEST(Group, AMemberWhoseReaderHasGoneIsGivenNothing) {
  FakeCore core;
  FakeMember gone(core, "g");
  FakeMember other(core, "g");
  gone.sink().has_reader = false;
  gone.SetRoom(FrameBytes("1") / 2);
  core.Publish({"1", "2"});
  EXPECT_THAT(other.TakePayloads(), testing::UnorderedElementsAre("1", "2"));
}

TEST(Group, AFullGroupHoldsThePublisherBackUntilAMemberHasRoom) {
  FakeCore core;
  core.options.egress_queue_bytes_max = 100;
  FakeMember a(core, "g");
  a.SetRoom(0);
  core.Publish({std::string(200, 'x')});
  EXPECT_EQ(core.valve->pauses, 1);
  a.MakeRoom(SIZE_MAX);
  EXPECT_EQ(core.valve->pauses, 0);
}

TEST(Group, AStalledGroupDropsItsOldestAndTellsOneMember) {
  FakeCore core;
  core.options.egress_queue_bytes_max = 100;
  FakeMember a(core, "g");
  FakeMember b(core, "g");
  a.SetRoom(0);
  b.SetRoom(0);
  core.Publish({std::string(60, 'x'), std::string(60, 'y')});
  EXPECT_EQ(core.valve->pauses, 1);
  core.host.Advance(core.options.stall_timeout);
  EXPECT_EQ(core.valve->pauses, 0);
  a.MakeRoom(SIZE_MAX);
  EXPECT_THAT(a.TakePayloads(), ElementsAre("(gap 1)", std::string(60, 'y')));
  EXPECT_THAT(b.TakePayloads(), IsEmpty());
}

TEST(Group, EndsWithItsLastMemberAndCountsWhatItHad) {
  FakeCore core;
  auto a = std::make_unique<FakeMember>(core, "g");
  a->SetRoom(FrameBytes("1") + 1);
  core.Publish(Numbered(1, 4));
  a.reset();
  EXPECT_EQ(core.counters.messages_abandoned.value(), 2u);
  EXPECT_EQ(core.Stats().groups_size(), 0);
  EXPECT_FALSE(core.router.HasSubscriber("t"));
  FakeMember later(core, "g");
  core.Publish({"5"});
  EXPECT_THAT(later.TakePayloads(), ElementsAre("5"));
}

TEST(Group, WhoLeavesGetsNothingMore) {
  FakeCore core;
  FakeMember a(core, "g");
  FakeMember b(core, "g");
  a.Leave("g");
  core.Publish({"1", "2"});
  EXPECT_THAT(a.TakePayloads(), IsEmpty());
  EXPECT_THAT(b.TakePayloads(), ElementsAre("1", "2"));
  b.Leave("g");
  EXPECT_FALSE(core.router.HasSubscriber("t"));
}

TEST(Group, PatternAndNameTogetherMakeAGroup) {
  FakeCore core;
  FakeMember a(core, "g");
  FakeMember b(core);
  EXPECT_TRUE(b.Join("g", {}, "*"));
  core.Publish({"1"});
  EXPECT_THAT(a.TakePayloads(), ElementsAre("1"));
  EXPECT_THAT(b.TakePayloads(), ElementsAre("1"));
  EXPECT_EQ(core.Stats().groups_size(), 2);
}

TEST(Group, TheOrderOfOneMembersMessagesIsTheOrderOfPublishing) {
  FakeCore core;
  core.options.group_run_messages_max = 3;
  FakeMember a(core, "g");
  FakeMember b(core, "g");
  for (int i = 100; i < 900; i += 10) {
    a.SetRoom(static_cast<size_t>(i) % 71);
    core.Publish(Numbered(i, i + 9));
    a.MakeRoom(static_cast<size_t>(i) % 53);
    if (i % 90 == 0) b.SetRoom(20);
    if (i % 120 == 0) b.MakeRoom(SIZE_MAX);
  }
  a.MakeRoom(SIZE_MAX);
  b.MakeRoom(SIZE_MAX);
  const std::vector<std::string> of_a = a.TakePayloads();
  const std::vector<std::string> of_b = b.TakePayloads();
  EXPECT_TRUE(std::is_sorted(of_a.begin(), of_a.end()));
  EXPECT_TRUE(std::is_sorted(of_b.begin(), of_b.end()));
  EXPECT_GT(of_a.size(), 0u);
  EXPECT_GT(of_b.size(), 0u);
  EXPECT_EQ(of_a.size() + of_b.size(), 800u);
}

TEST(Group, DeliveredOfAMemberCountsMessagesAndNoGaps) {
  FakeCore core;
  core.options.egress_queue_bytes_max = 10 * FrameBytes("1");
  FakeMember a(core, "g");
  a.SetRoom(30 * FrameBytes("10") + 5);
  core.Publish(Numbered(10, 49));
  EXPECT_EQ(a.egress().state().delivered, 30u);
  a.MakeRoom(SIZE_MAX);
  EXPECT_EQ(a.egress().state().delivered, 40u);
  a.SetRoom(0);
  core.Publish(Numbered(50, 99));  // of which most are dropped
  a.egress().OnWritable();
  core.host.Advance(absl::Seconds(3));
  const uint64_t dropped = core.Stats().groups(0).queue().dropped();
  ASSERT_GT(dropped, 0u);
  a.MakeRoom(SIZE_MAX);
  EXPECT_EQ(a.egress().state().delivered, 90 - dropped);
}

TEST(Group, WhatAMemberHadNotReadIsLostWithItAndCounted) {
  FakeCore core;
  FakeMember stays(core, "g");
  FakeMember leaves(core, "g");
  core.Publish(Numbered(100, 119));
  ASSERT_EQ(leaves.TakePayloads().size(), 10u);
  // Of its ten messages three and a half are in its pipe.
  leaves.sink().unread_bytes = 3 * FrameBytes("100") + FrameBytes("100") / 2;
  leaves.Die();
  EXPECT_EQ(core.counters.messages_taken_along.value(), 4u);
  EXPECT_EQ(core.Stats().groups(0).taken_along(), 4u);
  stays.sink().unread_bytes = 0;
  stays.Die();
  EXPECT_EQ(core.counters.messages_taken_along.value(), 4u);
}

TEST(Group, WhatAMemberHadReadAndNotHandledIsTheGroupsIfItSaysSo) {
  FakeCore core;
  FakeMember stays(core, "g");
  const auto egress = std::make_shared<Egress>(
      core.ids.Acquire(), EgressFormat::kFrames, core.options,
      std::make_shared<FakeSink>(), core.counters);
  const auto memberships = std::make_unique<Memberships>(
      core.groups, egress, std::make_shared<RoomListeners>());
  ASSERT_NE(memberships->Join({"t", "acked"}, AckRule()), nullptr);
  ASSERT_NE(memberships->Join({"t", "g"}, std::nullopt), nullptr);
  memberships->End(/*taken_along=*/7);
  uint64_t counted = 0;
  const pb::StatsReply stats = core.Stats();
  for (const auto& group : stats.groups()) {
    if (group.name() == "g") counted = group.taken_along();
  }
  EXPECT_EQ(counted, 7u);
  egress->Close();
}

TEST(Group, WhatIsUnreadWhenTheBrokerStopsIsNotLost) {
  FakeCore core;
  FakeMember member(core, "g");
  core.Publish({"1"});
  member.sink().unread_bytes = FrameBytes("1");
  core.groups.EndAll();
  member.Die();
  EXPECT_EQ(core.counters.messages_taken_along.value(), 0u);
}

TEST(Group, AMemberThatLeftIsStillAskedWhatItHadNotRead) {
  FakeCore core;
  FakeMember stays(core, "g");
  FakeMember leaves(core, "g");
  core.Publish(Numbered(1, 2));
  leaves.sink().unread_bytes = FrameBytes("2");
  leaves.Leave("g");
  EXPECT_EQ(core.counters.messages_taken_along.value(), 0u);
  leaves.Die();
  EXPECT_EQ(core.counters.messages_taken_along.value(), 1u);
}

TEST(DealtRuns, TellsHowManyMessagesLieBehindAPosition) {
  DealtRuns dealt;
  dealt.Add(/*end=*/100, /*size=*/10, /*messages=*/10);
  dealt.Add(120, 10, 2);  // joined with those
  dealt.Add(180, 30, 1);  // behind 30 bytes that are not the group's
  EXPECT_EQ(dealt.CountBehind(0), 13u);
  EXPECT_EQ(dealt.CountBehind(100), 3u);
  EXPECT_EQ(dealt.CountBehind(101), 3u);
  EXPECT_EQ(dealt.CountBehind(110), 2u);
  EXPECT_EQ(dealt.CountBehind(120), 1u);
  EXPECT_EQ(dealt.CountBehind(179), 1u);
  EXPECT_EQ(dealt.CountBehind(180), 0u);
}

}  // namespace
}  // namespace fifobus
