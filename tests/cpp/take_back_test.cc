// Which bytes of a session a client publishes again when its broker has died.

#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "clients/cpp/client.h"
#include "gtest/gtest.h"
#include "tests/support/byte_broker.h"

namespace fifobus {
namespace {

TEST_F(TakeBackTest, WhatWasNotReadComesOnceInOrderBeforeAnythingNewer) {
  Use(Mode::kNonBlocking);
  Reader first = Accept();
  EXPECT_EQ(hello_.resent_messages(), 0u);
  for (int i = 0; i < 10; ++i) Publish(std::to_string(i));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(first.Payload(), std::to_string(i));
  (void)first.Bytes(2);  // of the fourth
  first.Die();
  Reader second = Accept();
  EXPECT_EQ(hello_.resent_messages(), 7u);
  EXPECT_TRUE(told_loss_) << "three were read";
  Publish("newer");
  for (int i = 3; i < 10; ++i) EXPECT_EQ(second.Payload(), std::to_string(i));
  EXPECT_EQ(second.Payload(), "newer");
  EXPECT_TRUE(second.IsQuiet());
  EXPECT_EQ(client_->resent_messages(), 7u);
  EXPECT_EQ(client_->lost_messages(), 0u);
}

TEST_F(TakeBackTest, WhereNothingWasReadThereIsNoGap) {
  Use(Mode::kNonBlocking);
  Reader first = Accept();
  for (int i = 0; i < 3; ++i) Publish(std::to_string(i));
  first.Die();
  Reader second = Accept();
  Publish("newer");
  EXPECT_FALSE(told_loss_);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(second.Payload(), std::to_string(i));
  EXPECT_EQ(second.Payload(), "newer");
}

TEST_F(TakeBackTest, ALargeFrameThatIsBeingWrittenIsWrittenWholeAgain) {
  Use(Mode::kNonBlocking);
  Reader first = Accept();
  Publish("before");
  client_->set_mode(Mode::kBlocking);
  const std::string payload(3'000'000, 'x');
  std::thread publishing([&] { Publish(payload); });
  EXPECT_EQ(first.Payload(), "before");
  (void)first.Bytes(1'000'000);
  first.Die();
  Reader second = Take([] {});
  second.Write(Welcome());
  EXPECT_EQ(second.Payload(), payload);
  publishing.join();
  EXPECT_TRUE(second.IsQuiet());
  EXPECT_TRUE(told_loss_) << "one was read";
  EXPECT_EQ(client_->lost_messages(), 0u);
}

TEST_F(TakeBackTest, ALargeFrameThatWasWrittenAndReadInPartIsCountedAsLost) {
  Use(Mode::kNonBlocking);
  Reader first = Accept();
  client_->set_mode(Mode::kBlocking);
  const std::string payload(100'000, 'x');
  std::thread publishing([&] { Publish(payload); });
  (void)first.Bytes(70'000);
  publishing.join();
  client_->set_mode(Mode::kNonBlocking);
  Publish("behind");
  first.Die();
  Reader second = Accept();
  EXPECT_EQ(hello_.resent_messages(), 1u);
  EXPECT_EQ(second.Payload(), "behind");
  EXPECT_TRUE(told_loss_);
  EXPECT_EQ(client_->lost_messages(), 1u);
}

TEST_F(TakeBackTest, ALargeFrameThatNobodyHasReadIsReadBack) {
  Use(Mode::kNonBlocking);
  Reader first = Accept();
  const std::string payload(40'000, 'x');
  Publish("before");
  Publish(payload);
  Publish("behind");
  first.Die();
  Reader second = Accept();
  EXPECT_EQ(second.Payload(), "before");
  EXPECT_EQ(second.Payload(), payload);
  EXPECT_EQ(second.Payload(), "behind");
  EXPECT_FALSE(told_loss_);
}

TEST_F(TakeBackTest, ABatchGoesOnInTheNextSession) {
  Use(Mode::kNonBlocking);
  Reader first = Accept();
  {
    Batch batch(*client_);
    for (int i = 0; i < 5; ++i) Publish(std::to_string(i));
    EXPECT_TRUE(first.IsQuiet());
    first.Die();
  }
  Reader second = Accept();
  EXPECT_EQ(hello_.resent_messages(), 5u);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(second.Payload(), std::to_string(i));
  EXPECT_FALSE(told_loss_);
}

TEST_F(TakeBackTest, AFullPipeAndABegunFrameGoOnInTheNextSession) {
  Use(Mode::kNonBlocking);
  Reader first = Accept();
  std::vector<std::string> sent;
  while (true) {
    sent.push_back(std::to_string(sent.size()) + std::string(5000, 'x'));
    const PublishOutcome outcome = client_->Publish("a", sent.back());
    if (outcome == PublishOutcome::kWouldBlock) break;
    ASSERT_EQ(outcome, PublishOutcome::kSent);
  }
  sent.pop_back();  // was not taken
  (void)first.Bytes(3);
  first.Die();
  Reader second = Accept();
  EXPECT_EQ(hello_.resent_messages(), sent.size());
  for (const std::string& payload : sent) {
    (void)client_->Flush();
    EXPECT_EQ(second.Payload(), payload);
  }
  EXPECT_TRUE(second.IsQuiet());
}

TEST_F(TakeBackTest, SeveralBrokersMayDieBeforeTheClientPublishesAgain) {
  Use(Mode::kNonBlocking);
  Reader reader = Accept();
  for (int i = 0; i < 4; ++i) Publish(std::to_string(i));
  reader.Die();
  reader = Accept();
  reader.Die();  // has read nothing but Hello
  reader = Take();
  EXPECT_EQ(hello_.resent_messages(), 4u);
  reader.Die();  // has not even answered
  reader = Accept();
  EXPECT_EQ(hello_.resent_messages(), 4u);
  EXPECT_FALSE(told_loss_);
  EXPECT_EQ(reader.Payload(), "0");
  reader.Die();
  reader = Accept();
  EXPECT_EQ(hello_.resent_messages(), 3u);
  EXPECT_TRUE(told_loss_);
  for (int i = 1; i < 4; ++i) EXPECT_EQ(reader.Payload(), std::to_string(i));
  EXPECT_TRUE(reader.IsQuiet());
}

// Otherwise it would often be there before the subscribers.
TEST_F(TakeBackTest, AClientLooksTwiceBeforeItComesWithWhatItHasTakenBack) {
  Use(Mode::kNonBlocking);
  Reader first = Accept();
  Publish("1");
  const absl::Time died = absl::Now();
  first.Die();
  Reader second = Take();
  EXPECT_GE(absl::Now() - died, absl::Milliseconds(2 + 4));
  second.Write(Welcome());
}

TEST_F(TakeBackTest, SubscriptionsComeFirstAndOtherControlFramesNotAgain) {
  Use(Mode::kNonBlocking);
  Reader first = Accept();
  (void)client_->Subscribe("b", absl::ZeroDuration());
  (void)client_->Ping(absl::ZeroDuration());
  Publish("1");
  first.Die();
  Reader second = Accept();
  EXPECT_EQ(second.Frame().subscribe().pattern(), "b");
  EXPECT_EQ(second.Payload(), "1");
  EXPECT_TRUE(second.IsQuiet());
}

}  // namespace
}  // namespace fifobus
