// Queue groups that acknowledge.

#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "broker/core/groups/group.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/group_fakes.h"

namespace fifobus {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

constexpr pb::Ack::Verdict kRetry = pb::Ack::VERDICT_RETRY;

AckRule Unacked(uint32_t unacked_max) {
  AckRule rule;
  rule.unacked_max = unacked_max;
  return rule;
}

AckRule Deliveries(uint32_t deliveries_max) {
  AckRule rule;
  rule.deliveries_max = deliveries_max;
  return rule;
}

TEST(AckedGroup, EachMessageComesBehindADeliveryWithAnIdOfItsOwn) {
  FakeCore core;
  FakeMember a(core, "g", Unacked(2));
  core.Publish({"1", "2"});
  const auto got = a.Take();
  ASSERT_THAT(got, SizeIs(2));
  EXPECT_EQ(got[0].payload, "1");
  EXPECT_EQ(got[0].count, 1u);
  EXPECT_NE(got[0].ack_id, 0u);
  EXPECT_NE(got[1].ack_id, 0u);
  EXPECT_NE(got[0].ack_id, got[1].ack_id);
}

TEST(AckedGroup, IdsOfTwoGroupsOfASessionDiffer) {
  FakeCore core;
  FakeMember a(core, "g", AckRule());
  ASSERT_TRUE(a.Join("h", AckRule()));
  core.Publish({"1"});
  const auto got = a.Take();
  ASSERT_THAT(got, SizeIs(2));
  EXPECT_NE(got[0].ack_id, got[1].ack_id);
  a.Answer({got[1].ack_id});
  EXPECT_EQ(core.Stats().groups(0).unacked() + core.Stats().groups(1).unacked(),
            1u);
}

TEST(AckedGroup, NobodyHoldsMoreThanUnackedMax) {
  FakeCore core;
  FakeMember a(core, "g", Unacked(2));
  core.Publish({"1", "2", "3", "4"});
  auto got = a.Take();
  ASSERT_THAT(got, SizeIs(2));
  EXPECT_EQ(core.Stats().groups(0).unacked(), 2u);
  a.Answer({got[1].ack_id});
  got = a.Take();
  ASSERT_THAT(got, SizeIs(1));
  EXPECT_EQ(got[0].payload, "3");
  EXPECT_EQ(got[0].count, 1u);
}

TEST(AckedGroup, NobodyHoldsMoreThanItsBytes) {
  FakeCore core;
  core.options.group_unacked_bytes_max = 100;
  FakeMember a(core, "g", Unacked(10));
  FakeMember b(core, "g", Unacked(10));
  core.Publish({std::string(200, 'x')});
  core.Publish({"1"});
  core.Publish({"2"});
  EXPECT_THAT(a.TakePayloads(), ElementsAre(std::string(200, 'x')));
  EXPECT_THAT(b.TakePayloads(), ElementsAre("1", "2"));
}

TEST(AckedGroup, WhatIsDoneIsNotDeliveredAgain) {
  FakeCore core;
  auto a = std::make_unique<FakeMember>(core, "g", AckRule());
  FakeMember b(core, "g", AckRule());
  core.Publish({"1"});
  a->Answer({a->Take().at(0).ack_id});
  a.reset();
  core.host.Advance(absl::Hours(1));
  EXPECT_THAT(b.Take(), IsEmpty());
  EXPECT_EQ(core.counters.messages_redelivered.value(), 0u);
}

TEST(AckedGroup, RetryGoesToAnotherMemberMarkedAsDeliveredBefore) {
  FakeCore core;
  FakeMember a(core, "g", AckRule());
  FakeMember b(core, "g", AckRule());
  core.Publish({"1"});
  const uint64_t first_id = a.Take().at(0).ack_id;
  a.Answer({first_id}, kRetry);
  EXPECT_THAT(a.Take(), IsEmpty());
  const auto got = b.Take();
  ASSERT_THAT(got, SizeIs(1));
  EXPECT_EQ(got[0].payload, "1");
  EXPECT_EQ(got[0].count, 2u);
  EXPECT_NE(got[0].ack_id, first_id);
  EXPECT_EQ(core.counters.messages_redelivered.value(), 1u);
  EXPECT_EQ(core.Stats().groups(0).redelivered(), 1u);
}

TEST(AckedGroup, RetryOfTheOnlyMemberComesBackToIt) {
  FakeCore core;
  FakeMember a(core, "g", AckRule());
  core.Publish({"1", "2"});
  a.Answer({a.Take().at(0).ack_id}, kRetry);
  const auto got = a.Take();
  ASSERT_THAT(got, SizeIs(1));
  EXPECT_EQ(got[0].payload, "1") << "before anything new";
  EXPECT_EQ(got[0].count, 2u);
}

TEST(AckedGroup, AMembersDeathHandsOverWhatItHadNotAnswered) {
  FakeCore core;
  auto a = std::make_unique<FakeMember>(core, "g", Unacked(3));
  core.Publish({"1", "2", "3"});
  a->Answer({a->Take().at(1).ack_id});
  FakeMember b(core, "g", Unacked(3));
  a.reset();
  const auto got = b.Take();
  ASSERT_THAT(got, SizeIs(2));
  EXPECT_EQ(got[0].payload, "1");
  EXPECT_EQ(got[1].payload, "3");
  EXPECT_EQ(got[0].count, 2u);
}

TEST(AckedGroup, WhatIsNotAnsweredInTimeIsDeliveredAgain) {
  FakeCore core;
  FakeMember a(core, "g", AckRule());
  FakeMember b(core, "g", AckRule());
  core.Publish({"1"});
  const uint64_t late_id = a.Take().at(0).ack_id;
  core.host.Advance(absl::Seconds(29));
  EXPECT_THAT(b.Take(), IsEmpty());
  core.host.Advance(absl::Seconds(1));
  const auto got = b.Take();
  ASSERT_THAT(got, SizeIs(1));
  EXPECT_EQ(got[0].count, 2u);
  // Too late; the second delivery stands.
  a.Answer({late_id});
  EXPECT_EQ(core.Stats().groups(0).unacked(), 1u);
}

TEST(AckedGroup, EachMessageHasItsOwnDeadline) {
  FakeCore core;
  FakeMember a(core, "g", Unacked(10));
  core.Publish({"1"});
  core.host.Advance(absl::Seconds(20));
  core.Publish({"2"});
  core.host.Advance(absl::Seconds(10));
  EXPECT_THAT(a.TakePayloads(), ElementsAre("1", "2", "1"));
  core.host.Advance(absl::Seconds(20));
  EXPECT_THAT(a.TakePayloads(), ElementsAre("2"));
  core.host.Advance(absl::Seconds(10));
  EXPECT_THAT(a.TakePayloads(), ElementsAre("1"));
}

TEST(AckedGroup, NoTimerRunsForLongWhenAllIsAnswered) {
  FakeCore core;
  FakeMember a(core, "g", AckRule());
  EXPECT_EQ(core.host.timers(), 0u);
  core.Publish({"1"});
  EXPECT_EQ(core.host.timers(), 1u);
  a.Answer({a.Take().at(0).ack_id});
  core.host.Advance(absl::Seconds(30));
  EXPECT_EQ(core.host.timers(), 0u);
}

TEST(AckedGroup, WhatIsDeliveredTooOftenBecomesADeadLetter) {
  FakeCore core;
  FakeMember dead(core);
  core.table.Add("$dead/g", dead.shared_egress());
  FakeMember a(core, "g", Deliveries(2));
  core.Publish({"bad", "good"});
  a.Answer({a.Take().at(0).ack_id}, kRetry);
  EXPECT_THAT(core.host.letters, IsEmpty());
  a.Answer({a.Take().at(0).ack_id}, kRetry);
  EXPECT_THAT(a.TakePayloads(), ElementsAre("good"));
  core.PublishDead();
  const SplitFrames split = Split(dead.sink().written);
  ASSERT_THAT(split.frames, SizeIs(1));
  const pb::Message message = Parse(split.frames[0]).message();
  EXPECT_EQ(message.topic(), "$dead/g");
  EXPECT_EQ(message.payload(), "bad");
  ASSERT_EQ(message.headers_size(), 2);
  EXPECT_EQ(message.headers(0).name(), "fifobus-topic");
  EXPECT_EQ(message.headers(0).value(), "t");
  EXPECT_EQ(message.headers(1).name(), "fifobus-deliveries");
  EXPECT_EQ(message.headers(1).value(), "2");
  EXPECT_EQ(core.counters.messages_dead_lettered.value(), 1u);
  EXPECT_EQ(core.Stats().groups(0).dead_lettered(), 1u);
}

TEST(AckedGroup, DeathsAndTimeoutsCountAsDeliveriesToo) {
  FakeCore core;
  auto a = std::make_unique<FakeMember>(core, "g", Deliveries(2));
  FakeMember b(core, "g", Deliveries(2));
  core.Publish({"1"});
  a.reset();
  EXPECT_THAT(b.TakePayloads(), ElementsAre("1"));
  core.host.Advance(absl::Seconds(30));
  EXPECT_THAT(core.host.letters, SizeIs(1));
  EXPECT_THAT(b.TakePayloads(), IsEmpty());
}

TEST(AckedGroup, ADeadLetterKeepsItsMetadata) {
  MessageFields fields;
  fields.topic = "t";
  fields.payload = "x";
  fields.sequence = 7;
  fields.content_type = "text/plain";
  fields.reply_topic = "r";
  fields.expiry_unix_nanos = 9;
  fields.retain = true;
  fields.confirm_id = 3;
  const HeaderView header = {"name", "value"};
  fields.headers = {&header, 1};
  std::string frame;
  AppendMessageFrame(fields, frame);
  FakeCore core;
  FakeMember dead(core);
  core.table.Add("$dead/**", dead.shared_egress());
  const DeadLetter letter = {"g", KeptMessage(frame)};
  EXPECT_EQ(PublishDeadLetter(letter, 1000, core.router),
            DeadLetterOutcome::kPublished);
  const pb::Message message = Parse(dead.sink().written).message();
  EXPECT_EQ(message.sequence(), 7u);
  EXPECT_EQ(message.content_type(), "text/plain");
  EXPECT_EQ(message.reply_topic(), "r");
  ASSERT_EQ(message.headers_size(), 3);
  EXPECT_EQ(message.headers(0).name(), "name");
  EXPECT_FALSE(message.retain());
  EXPECT_EQ(message.confirm_id(), 0u);
  EXPECT_EQ(message.expiry_unix_nanos(), 0u);
  EXPECT_EQ(PublishDeadLetter(letter, 60, core.router),
            DeadLetterOutcome::kTooLarge);
}

TEST(AckedGroup, WhatHasExpiredIsNotDeliveredAgain) {
  FakeCore core;
  FakeMember a(core, "g", AckRule());
  MessageFields fields;
  fields.topic = "t";
  std::vector<FakeMember::Delivered> got;
  // On a busy machine it may have expired when it is published: once more then.
  while (got.empty() || got[0].ack_id == 0) {
    fields.expiry_unix_nanos =
        static_cast<uint64_t>(absl::GetCurrentTimeNanos()) + 20'000'000;
    std::string frame;
    AppendMessageFrame(fields, frame);
    core.PublishFrames({frame});
    got = a.Take();
  }
  const uint64_t expired_before = core.counters.messages_expired.value();
  while (static_cast<uint64_t>(absl::GetCurrentTimeNanos()) <
         fields.expiry_unix_nanos) {
  }
  a.Answer({got[0].ack_id}, kRetry);
  EXPECT_THAT(a.TakePayloads(), ElementsAre("(gap 1)"));
  EXPECT_EQ(core.counters.messages_expired.value(), expired_before + 1);
  EXPECT_EQ(core.Stats().groups(0).unacked(), 0u);
}

TEST(AckedGroup, OnlyTheHolderMayAnswer) {
  FakeCore core;
  FakeMember a(core, "g", AckRule());
  FakeMember b(core, "g", AckRule());
  core.Publish({"1"});
  const uint64_t id = a.Take().at(0).ack_id;
  b.Answer({id, id + 1, 0});
  EXPECT_EQ(core.Stats().groups(0).unacked(), 1u);
  a.Answer({id, id});
  EXPECT_EQ(core.Stats().groups(0).unacked(), 0u);
}

TEST(AckedGroup, AMemberWithoutRoomIsPassedOverAndOnlyGetsWholePairs) {
  FakeCore core;
  FakeMember a(core, "g", Unacked(10));
  for (size_t room = 0; room < 120; ++room) {
    a.SetRoom(room);
    core.Publish({"1", "2", "3"});
    const size_t unacked = core.Stats().groups(0).unacked();
    a.MakeRoom(SIZE_MAX);
    const auto got = a.Take();
    ASSERT_THAT(got, SizeIs(3)) << room;
    EXPECT_LE(unacked, 3u);
    for (const auto& one : got) {
      EXPECT_NE(one.ack_id, 0u);
      EXPECT_EQ(one.count, 1u) << "not written is not delivered";
      a.Answer({one.ack_id});
    }
  }
}

TEST(AckedGroup, WhatAMemberHadBegunToGetIsDeliveredToAnother) {
  FakeCore core;
  auto a = std::make_unique<FakeMember>(core, "g", AckRule());
  a->SetRoom(5);
  core.Publish({"1"});
  FakeMember b(core, "g", AckRule());
  a.reset();
  const auto got = b.Take();
  ASSERT_THAT(got, SizeIs(1));
  EXPECT_EQ(got[0].count, 2u);
}

TEST(AckedGroup, AGapOfTheGroupIsNotToBeAnswered) {
  FakeCore core;
  core.options.egress_queue_bytes_max = 100;
  FakeMember a(core, "g", AckRule());
  a.SetRoom(0);
  core.Publish({std::string(60, 'x'), std::string(60, 'y')});
  core.host.Advance(core.options.stall_timeout);
  a.MakeRoom(SIZE_MAX);
  const auto got = a.Take();
  ASSERT_THAT(got, SizeIs(2));
  EXPECT_EQ(got[0].payload, "(gap 1)");
  EXPECT_EQ(got[0].ack_id, 0u);
  EXPECT_EQ(got[1].payload, std::string(60, 'y'));
}

TEST(AckedGroup, OtherRulesThanTheGroupsAreRefused) {
  FakeCore core;
  FakeMember a(core, "g", Unacked(2));
  FakeMember b(core);
  EXPECT_FALSE(b.Join("g", Unacked(3)));
  EXPECT_FALSE(b.Join("g"));
  EXPECT_TRUE(b.Join("g", Unacked(2)));
  FakeMember plain(core, "h");
  EXPECT_FALSE(b.Join("h", AckRule()));
}

TEST(AckedGroup, WhoHasUnsubscribedMayStillAnswer) {
  FakeCore core;
  FakeMember a(core, "g", Unacked(2));
  FakeMember b(core, "g", Unacked(2));
  core.Publish({"1"});
  const uint64_t id = a.Take().at(0).ack_id;
  a.Leave("g");
  core.Publish({"2"});
  EXPECT_THAT(b.TakePayloads(), ElementsAre("2"));
  EXPECT_EQ(core.Stats().groups(0).unacked(), 2u);
  a.Answer({id});
  EXPECT_EQ(core.Stats().groups(0).unacked(), 1u);
  a.Die();
  EXPECT_THAT(b.Take(), IsEmpty());
}

TEST(AckedGroup, LingersForMembersThatComeBack) {
  FakeCore core;
  auto a = std::make_unique<FakeMember>(core, "g", AckRule());
  core.Publish({"1"});
  a.reset();
  core.Publish({"2"});
  core.host.Advance(core.options.group_linger - absl::Seconds(1));
  FakeMember b(core, "g", Unacked(1));
  auto got = b.Take();
  ASSERT_THAT(got, SizeIs(1));
  EXPECT_EQ(got[0].payload, "1");
  EXPECT_EQ(got[0].count, 2u);
  b.Answer({got[0].ack_id});
  EXPECT_THAT(b.TakePayloads(), ElementsAre("2"));
  // The linger of those before does not end the group of those who came.
  core.host.Advance(absl::Seconds(2));
  EXPECT_EQ(core.Stats().groups_size(), 1);
  EXPECT_EQ(core.counters.messages_abandoned.value(), 0u);
}

TEST(AckedGroup, EndsWhenNobodyComesBackAndCountsWhatItHad) {
  FakeCore core;
  auto a = std::make_unique<FakeMember>(core, "g", AckRule());
  core.Publish({"1"});
  a.reset();
  core.Publish({"2"});
  core.host.Advance(core.options.group_linger);
  EXPECT_EQ(core.Stats().groups_size(), 0);
  EXPECT_EQ(core.counters.messages_abandoned.value(), 2u);
  EXPECT_FALSE(core.router.HasSubscriber("t"));
  EXPECT_EQ(core.host.timers(), 0u);
}

TEST(AckedGroup, WhileItLingersItDropsItsOldestAndPausesNobody) {
  FakeCore core;
  core.options.egress_queue_bytes_max = 100;
  auto a = std::make_unique<FakeMember>(core, "g", AckRule());
  a.reset();
  for (const char* payload : {"1", "2", "3"}) {
    core.Publish({std::string(40, ' ') + payload});
  }
  EXPECT_EQ(core.valve->pauses, 0);
  FakeMember b(core, "g", Unacked(1));
  EXPECT_THAT(b.TakePayloads(),
              ElementsAre("(gap 2)", std::string(40, ' ') + "3"));
}

}  // namespace
}  // namespace fifobus
