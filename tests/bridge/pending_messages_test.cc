#include "clients/cli/bridge/pending_messages.h"

#include "gtest/gtest.h"

namespace fifobus::bridge {
namespace {

TEST(PendingMessagesTest, WhatIsDoneStaysUntilAllBeforeItAreDone) {
  PendingMessages pending;
  for (const uint64_t sequence : {3, 5, 9}) pending.Add(sequence, "ack");
  EXPECT_EQ(pending.Find(4), nullptr);
  pending.SetDone(*pending.Find(5));
  EXPECT_EQ(pending.size(), 3U);
  EXPECT_EQ(pending.Find(5), nullptr);
  pending.SetDone(*pending.Find(3));
  EXPECT_EQ(pending.size(), 1U);
  ASSERT_NE(pending.Find(9), nullptr);
  EXPECT_EQ(pending.Find(9)->ack_subject, "ack");
}

TEST(PendingMessagesTest, ForgetsAllFromOneOn) {
  PendingMessages pending;
  for (const uint64_t sequence : {3, 5, 9}) pending.Add(sequence, "");
  pending.ForgetFrom(5);
  EXPECT_EQ(pending.size(), 1U);
  EXPECT_NE(pending.Find(3), nullptr);
  pending.Add(5, "again");
  EXPECT_EQ(pending.Find(5)->ack_subject, "again");
}

}  // namespace
}  // namespace fifobus::bridge
