// What a publisher with a name does, and what becomes of messages that are to be
// stored, with a broker that plays each step.

#include <cstdint>
#include <string>
#include <thread>

#include "clients/cpp/client.h"
#include "gtest/gtest.h"
#include "proto/frame.pb.h"
#include "tests/support/scripted_broker.h"

namespace fifobus {
namespace {

constexpr uint32_t kStored = LevelInFrame(Level::kStored);

pb::Frame ConfirmFrame(uint64_t id, pb::Confirm::Level level) {
  pb::Frame frame;
  frame.mutable_confirm()->set_confirm_id(id);
  frame.mutable_confirm()->set_level(level);
  return frame;
}

pb::Frame StoredFrame(uint64_t id, uint64_t offset) {
  pb::Frame frame = ConfirmFrame(id, pb::Confirm::LEVEL_STORED);
  frame.mutable_confirm()->set_offset(offset);
  return frame;
}

class ClientPublisherTest : public ScriptedBrokerTest {
 protected:
  void UsePublisher(size_t resend_bytes_max) {
    ClientOptions options;
    options.publisher = "p1";
    options.resend_bytes_max = resend_bytes_max;
    Use(options);
  }

  PublishOutcome Publish(uint64_t confirm_id, const std::string& payload,
                         uint32_t level = kStored) {
    MessageFields message;
    message.topic = "a";
    message.payload = payload;
    message.confirm_id = confirm_id;
    message.confirm_level = level;
    return client_->Publish(message);
  }

  void ExpectConfirmation(uint64_t id, Level level) {
    const Received got = Next();
    ASSERT_EQ(got.outcome, ReceiveOutcome::kConfirmation);
    EXPECT_EQ(got.confirmation.confirm_id, id);
    EXPECT_EQ(got.confirmation.level, level);
  }

  // Answers the next own message.
  static void Answer(Session& session, pb::Frame confirm) {
    const auto frame = session.Read(&pb::Frame::has_message, "a Message");
    ASSERT_TRUE(frame.ok()) << frame.status();
    confirm.mutable_confirm()->set_confirm_id(frame->message().confirm_id());
    Write(session, confirm);
  }
};

TEST_F(ClientPublisherTest, NumbersGoOnBehindTheHighestMark) {
  UsePublisher(0);
  Session session = Accept({{"small", 3, 30}, {"large", 7, 70}});
  EXPECT_EQ(hello_.publisher(), "p1");
  EXPECT_EQ(client_->last_sequence(), 7U);
  ASSERT_EQ(client_->publisher_marks().size(), 2U);
  EXPECT_EQ(client_->publisher_marks()[1].log, "large");
  EXPECT_EQ(client_->publisher_marks()[1].last_offset, 70U);
  EXPECT_EQ(client_->Publish("a", "x"), PublishOutcome::kSent);
  EXPECT_EQ(client_->Publish("a", "y"), PublishOutcome::kSent);
  EXPECT_EQ(ReadMessage(session).sequence(), 8U);
  EXPECT_EQ(ReadMessage(session).sequence(), 9U);
  {
    const Batch batch(*client_);
    for (int i = 0; i < 3; ++i) (void)client_->Publish("a", "z");
  }
  for (uint64_t n = 10; n < 13; ++n) {
    EXPECT_EQ(ReadMessage(session).sequence(), n);
  }
}

TEST_F(ClientPublisherTest, ASequenceOfTheProgramIsKept) {
  UsePublisher(0);
  Session session = Accept();
  MessageFields message;
  message.topic = "a";
  message.sequence = 40;
  EXPECT_EQ(client_->Publish(message), PublishOutcome::kSent);
  EXPECT_EQ(client_->last_sequence(), 40U);
  message.sequence = 5;  // repeated, and so not the last
  EXPECT_EQ(client_->Publish(message), PublishOutcome::kSent);
  EXPECT_EQ(client_->Publish("a", "next"), PublishOutcome::kSent);
  EXPECT_EQ(ReadMessage(session).sequence(), 40U);
  EXPECT_EQ(ReadMessage(session).sequence(), 5U);
  EXPECT_EQ(ReadMessage(session).sequence(), 41U);
}

TEST_F(ClientPublisherTest, AnUnnamedClientDoesNotNumber) {
  Use({});
  Session session = Accept();
  EXPECT_EQ(client_->Publish("a", "x"), PublishOutcome::kSent);
  EXPECT_EQ(ReadMessage(session).sequence(), 0U);
  EXPECT_EQ(client_->last_sequence(), 0U);
  EXPECT_TRUE(client_->publisher_marks().empty());
}

TEST_F(ClientPublisherTest, ANewSessionMayRaiseTheNumbers) {
  UsePublisher(0);
  Session first = Accept();
  EXPECT_EQ(client_->Publish("a", "1"), PublishOutcome::kSent);
  (void)ReadMessage(first);
  End(first);
  Session second = Accept({{"all", 9, 90}});
  EXPECT_EQ(client_->Publish("a", "10"), PublishOutcome::kSent);
  EXPECT_TRUE(told_loss_);
  EXPECT_EQ(ReadMessage(second).sequence(), 10U);
}

TEST_F(ClientPublisherTest, BadOptionsAreRefused) {
  ClientOptions options;
  options.publisher = "two/levels";
  EXPECT_TRUE(absl::IsInvalidArgument(Client::Start(options).status()));
  options.publisher = "";
  options.resend_bytes_max = 1;
  EXPECT_TRUE(absl::IsInvalidArgument(Client::Start(options).status()));
}

TEST_F(ClientPublisherTest, ALevelWithoutAnIdOrThatIsNoneIsRefused) {
  Use({});
  Session session = Accept();
  EXPECT_EQ(Publish(0, "x"), PublishOutcome::kRefused);
  EXPECT_EQ(Publish(1, "x", 4), PublishOutcome::kRefused);
  EXPECT_EQ(Publish(1, "x"), PublishOutcome::kSent);
  EXPECT_EQ(ReadMessage(session).confirm_level(), pb::Confirm::LEVEL_STORED);
}

TEST_F(ClientPublisherTest, AConfirmationSaysWhereTheMessageIs) {
  Use({});
  Session session = Accept();
  EXPECT_EQ(Publish(5, "x"), PublishOutcome::kSent);
  pb::Frame frame = StoredFrame(5, 77);
  frame.mutable_confirm()->set_duplicate(true);
  frame.mutable_confirm()->set_sessions(2);
  Write(session, frame);
  const Received got = Next();
  ASSERT_EQ(got.outcome, ReceiveOutcome::kConfirmation);
  EXPECT_EQ(got.confirmation.level, Level::kStored);
  EXPECT_EQ(got.confirmation.offset, 77U);
  EXPECT_TRUE(got.confirmation.duplicate);
  EXPECT_EQ(got.confirmation.sessions, 2U);
  EXPECT_EQ(got.confirmation.failure, ConfirmFailure::kNone);
}

TEST_F(ClientPublisherTest, PublishConfirmedReturnsTypedFailures) {
  Use({});
  Session session = Accept();
  pb::Frame stored = StoredFrame(0, 3);
  pb::Frame none = ConfirmFrame(0, pb::Confirm::LEVEL_ACCEPTED);
  none.mutable_confirm()->set_failure(pb::Confirm::FAILURE_NO_LOG);
  pb::Frame failed = none;
  failed.mutable_confirm()->set_failure(pb::Confirm::FAILURE_LOG_FAILED);
  pb::Frame many = none;
  many.mutable_confirm()->set_failure(pb::Confirm::FAILURE_TOO_MANY_PUBLISHERS);
  const pb::Frame old = ConfirmFrame(0, pb::Confirm::LEVEL_ACCEPTED);
  std::thread broker([&] {
    for (const pb::Frame& frame : {stored, none, failed, many, old}) {
      Answer(session, frame);
    }
  });
  MessageFields message;
  message.topic = "a";
  const auto publish = [&] {
    return client_->PublishConfirmed(message, Level::kStored, kHang);
  };
  const auto confirmed = publish();
  ASSERT_TRUE(confirmed.ok()) << confirmed.status();
  EXPECT_EQ(confirmed->offset, 3U);
  EXPECT_EQ(confirmed->level, Level::kStored);
  const absl::Status no_log = publish().status();
  EXPECT_TRUE(absl::IsFailedPrecondition(no_log)) << no_log;
  EXPECT_NE(no_log.message().find("no log stores its topic"),
            absl::string_view::npos)
      << no_log;
  EXPECT_TRUE(absl::IsDataLoss(publish().status()));
  EXPECT_TRUE(absl::IsResourceExhausted(publish().status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(publish().status()));
  broker.join();
}

TEST_F(ClientPublisherTest, FlushAsksForItsLevelAndTellsAFailure) {
  Use({});
  Session session = Accept();
  // The broker answers until a message comes.
  const auto flush = [&](Level level, const pb::Pong& pong) {
    session.SetPong(pong);
    std::thread broker([&] { (void)ReadMessage(session); });
    auto reached = client_->Flush(level, kHang);
    EXPECT_EQ(client_->Publish("a", "end"), PublishOutcome::kSent);
    broker.join();
    return reached;
  };
  pb::Pong pong;
  pong.set_level(pb::Confirm::LEVEL_STORED);
  const auto reached = flush(Level::kStored, pong);
  ASSERT_TRUE(reached.ok()) << reached.status();
  EXPECT_EQ(*reached, Level::kStored);
  EXPECT_EQ(session.last_ping().level(), pb::Confirm::LEVEL_STORED);
  pong.set_level(pb::Confirm::LEVEL_ACCEPTED);
  pong.set_failure(pb::Confirm::FAILURE_LOG_FAILED);
  const absl::Status failed = flush(Level::kWritten, pong).status();
  EXPECT_TRUE(absl::IsDataLoss(failed)) << failed;
  EXPECT_EQ(session.last_ping().level(), pb::Confirm::LEVEL_WRITTEN);
}

TEST_F(ClientPublisherTest, AFencedClientFailsForGood) {
  UsePublisher(1000);
  Session session = Accept();
  EXPECT_EQ(Publish(1, "x"), PublishOutcome::kSent);
  WriteError(session, pb::Error::CODE_FENCED, "p1 is session 2 now", 0);
  End(session);
  // What is not confirmed never will be.
  ExpectConfirmation(1, Level::kNone);
  EXPECT_EQ(Next().outcome, ReceiveOutcome::kDisconnected);
  EXPECT_TRUE(absl::IsAborted(client_->status())) << client_->status();
  EXPECT_NE(client_->status().message().find("p1 is session 2 now"),
            absl::string_view::npos);
  EXPECT_EQ(client_->Publish("a", "x"), PublishOutcome::kDisconnected);
  EXPECT_FALSE(bus_.AwaitOffer(absl::Milliseconds(50)).ok());
}

TEST_F(ClientPublisherTest, WhatIsNotConfirmedIsSentAgainAsItWas) {
  UsePublisher(1 << 20);
  Session first = Accept();
  for (uint64_t id = 1; id <= 4; ++id) {
    EXPECT_EQ(Publish(id, std::to_string(id)), PublishOutcome::kSent);
  }
  EXPECT_EQ(ReadMessage(first).sequence(), 1U);
  Write(first, StoredFrame(1, 1));
  ExpectConfirmation(1, Level::kStored);
  End(first);
  Session second = Accept({{"all", 2, 2}});
  for (uint64_t n = 2; n <= 4; ++n) {
    const pb::Message again = ReadMessage(second);
    EXPECT_EQ(again.sequence(), n);
    EXPECT_EQ(again.payload(), std::to_string(n));
    EXPECT_EQ(again.confirm_level(), pb::Confirm::LEVEL_STORED);
    Write(second, StoredFrame(n, n));
  }
  for (uint64_t id = 2; id <= 4; ++id) ExpectConfirmation(id, Level::kStored);
  EXPECT_EQ(Publish(5, "5"), PublishOutcome::kSent);
  EXPECT_FALSE(told_loss_) << "nothing is lost";
  EXPECT_EQ(ReadMessage(second).sequence(), 5U);
}

TEST_F(ClientPublisherTest, WhatIsNotKeptIsLostWithItsSession) {
  UsePublisher(1 << 20);
  Session first = Accept();
  EXPECT_EQ(Publish(1, "kept"), PublishOutcome::kSent);
  EXPECT_EQ(Publish(2, "not", LevelInFrame(Level::kAccepted)),
            PublishOutcome::kSent);
  EXPECT_EQ(Publish(3, "kept"), PublishOutcome::kSent);
  for (int i = 0; i < 3; ++i) (void)ReadMessage(first);
  End(first);
  Session second = Accept();
  EXPECT_EQ(ReadMessage(second).sequence(), 1U);
  EXPECT_EQ(ReadMessage(second).sequence(), 3U);
  Write(second, StoredFrame(1, 1));
  Write(second, StoredFrame(3, 2));
  ExpectConfirmation(2, Level::kNone);
  ExpectConfirmation(1, Level::kStored);
  ExpectConfirmation(3, Level::kStored);
  EXPECT_TRUE(told_loss_);
}

TEST_F(ClientPublisherTest, WithoutKeepingAllIsUnknown) {
  UsePublisher(0);
  Session first = Accept();
  EXPECT_EQ(Publish(1, "x"), PublishOutcome::kSent);
  (void)ReadMessage(first);
  End(first);
  Session second = Accept();
  ExpectConfirmation(1, Level::kNone);
  EXPECT_TRUE(second.ExpectSilence(absl::Milliseconds(20)).ok());
}

TEST_F(ClientPublisherTest, AtTheBoundPublishingWaits) {
  const std::string payload(1000, 'x');
  UsePublisher(2500);
  Session session = Accept();
  EXPECT_EQ(Publish(1, payload), PublishOutcome::kSent);
  EXPECT_EQ(Publish(2, payload), PublishOutcome::kSent);
  EXPECT_EQ(Publish(3, payload), PublishOutcome::kWouldBlock);
  client_->set_mode(Mode::kBlocking);
  MessageFields message;
  message.topic = "a";
  message.payload = payload;
  message.confirm_id = 3;
  message.confirm_level = kStored;
  EXPECT_EQ(client_->Publish(message, absl::Milliseconds(5)),
            PublishOutcome::kTimedOut);
  std::thread broker([&] {
    (void)ReadMessage(session);
    Write(session, StoredFrame(1, 1));
  });
  EXPECT_EQ(client_->Publish(message, kHang), PublishOutcome::kSent);
  broker.join();
  (void)ReadMessage(session);
  EXPECT_EQ(ReadMessage(session).sequence(), 3U) << "a number is used once";
  client_->set_mode(Mode::kNonBlocking);
  ExpectConfirmation(1, Level::kStored);
}

// The answers were read, and nobody has taken them, when their session and the
// next one end: then what was read of the second one is given up.
TEST_F(ClientPublisherTest, AnAnswerThatWasReadIsToldThoughItsSessionIsLost) {
  UsePublisher(1 << 20);
  Session first = Accept();
  EXPECT_EQ(Publish(1, "1"), PublishOutcome::kSent);
  EXPECT_EQ(Publish(2, "2"), PublishOutcome::kSent);
  EXPECT_EQ(Publish(3, "3"), PublishOutcome::kSent);
  EXPECT_EQ(ReadMessage(first).sequence(), 1U);
  Write(first, StoredFrame(1, 1));
  End(first);
  Session second = Accept();
  EXPECT_EQ(ReadMessage(second).sequence(), 2U);
  EXPECT_EQ(ReadMessage(second).sequence(), 3U);
  Write(second, StoredFrame(2, 2));
  End(second);
  Session third = Accept();
  EXPECT_EQ(ReadMessage(third).sequence(), 3U);
  Write(third, StoredFrame(3, 3));
  for (uint64_t id = 1; id <= 3; ++id) ExpectConfirmation(id, Level::kStored);
}

TEST_F(ClientPublisherTest, PublishConfirmedGoesOnInTheNextSession) {
  UsePublisher(1 << 20);
  Session first = Accept();
  std::thread broker([&] {
    (void)ReadMessage(first);
    End(first);
    auto second = bus_.Greet();
    ASSERT_TRUE(second.ok()) << second.status();
    ASSERT_TRUE(second->Welcome().ok());
    Answer(*second, StoredFrame(0, 9));
    (void)second->ExpectEnd();
  });
  MessageFields message;
  message.topic = "a";
  const auto confirmed =
      client_->PublishConfirmed(message, Level::kStored, kHang);
  ASSERT_TRUE(confirmed.ok()) << confirmed.status();
  EXPECT_EQ(confirmed->offset, 9U);
  client_.reset();
  broker.join();
}

}  // namespace
}  // namespace fifobus
