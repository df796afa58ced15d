// Members of groups that work on a message for longer than the timeout.

#include <memory>
#include <vector>

#include "broker/core/groups/group.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/group_fakes.h"

namespace fifobus {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

constexpr pb::Ack::Verdict kExtend = pb::Ack::VERDICT_EXTEND;
const AckRule kHoldsThree = {.unacked_max = 3};

TEST(AckExtension, AnExtendedMessageIsDeliveredAgainOnlyAWholeTimeoutLater) {
  FakeCore core;
  FakeMember a(core, "g", kHoldsThree);
  core.Publish({"1", "2"});
  const auto got = a.Take();
  ASSERT_THAT(got, SizeIs(2));
  core.host.Advance(absl::Seconds(20));
  a.Answer({got[0].ack_id}, kExtend);
  core.host.Advance(absl::Seconds(10));
  EXPECT_THAT(a.TakePayloads(), ElementsAre("2")) << "was not extended";
  core.host.Advance(absl::Seconds(19));
  EXPECT_THAT(a.Take(), IsEmpty());
  core.host.Advance(absl::Seconds(1));
  EXPECT_THAT(a.TakePayloads(), ElementsAre("1"));
}

TEST(AckExtension, AnExtendedMessageIsHeldForAsLongAsItIsExtended) {
  FakeCore core;
  FakeMember a(core, "g", AckRule());
  FakeMember b(core, "g", AckRule());
  core.Publish({"1"});
  const uint64_t id = a.Take().at(0).ack_id;
  for (int i = 0; i < 100; ++i) {
    core.host.Advance(absl::Seconds(29));
    a.Answer({id}, kExtend);
  }
  EXPECT_THAT(b.Take(), IsEmpty());
  EXPECT_EQ(core.host.timers(), 1u);
  a.Answer({id});
  EXPECT_EQ(core.Stats().groups(0).unacked(), 0u);
  EXPECT_EQ(core.counters.messages_redelivered.value(), 0u);
}

TEST(AckExtension, OnlyWhatIsHeldIsExtended) {
  FakeCore core;
  FakeMember a(core, "g", AckRule());
  FakeMember b(core, "g", AckRule());
  core.Publish({"1"});
  const uint64_t id = a.Take().at(0).ack_id;
  core.host.Advance(absl::Seconds(20));
  b.Answer({id, id + 1, 0}, kExtend);
  core.host.Advance(absl::Seconds(10));
  const auto got = b.Take();
  ASSERT_THAT(got, SizeIs(1));
  EXPECT_EQ(got[0].count, 2u);
  // Taken back: it extends the second delivery no more than it settles it.
  core.host.Advance(absl::Seconds(20));
  a.Answer({id}, kExtend);
  core.host.Advance(absl::Seconds(10));
  EXPECT_THAT(a.TakePayloads(), ElementsAre("1"));
}

TEST(AckExtension, WhatADeadMemberHadExtendedComesInItsOldOrder) {
  FakeCore core;
  auto a = std::make_unique<FakeMember>(core, "g", kHoldsThree);
  core.Publish({"1", "2", "3"});
  const auto got = a->Take();
  ASSERT_THAT(got, SizeIs(3));
  core.host.Advance(absl::Seconds(1));
  a->Answer({got[0].ack_id}, kExtend);
  FakeMember b(core, "g", kHoldsThree);
  a.reset();
  EXPECT_THAT(b.TakePayloads(), ElementsAre("1", "2", "3"));
}

}  // namespace
}  // namespace fifobus
