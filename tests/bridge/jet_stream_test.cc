#include "clients/cli/bridge/jet_stream.h"

#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

// The answers are those of nats-server 2.9.10.
namespace fifobus::bridge {
namespace {

NatsMessage Answer(std::string payload) {
  NatsMessage message;
  message.payload = std::move(payload);
  return message;
}

NatsMessage Nobody() {
  NatsMessage message;
  message.headers = {{"Status", "503"}};
  return message;
}

TEST(JetStreamTest, PubAcksAreRead) {
  const auto outcome = [](std::string payload) {
    return ReadPubAck(Answer(std::move(payload))).outcome;
  };
  const PubAck stored = ReadPubAck(Answer(R"({"stream":"S", "seq":7})"));
  EXPECT_EQ(stored.outcome, PubAck::Outcome::kStored);
  EXPECT_EQ(stored.sequence, 7U);
  EXPECT_EQ(outcome(R"({"stream":"S", "seq":2,"duplicate": true})"),
            PubAck::Outcome::kDuplicate);
  EXPECT_EQ(outcome(R"({"error":{"code":400,"err_code":10071,"description":)"
                    R"("wrong last sequence: 6"},"stream":"S","seq":0})"),
            PubAck::Outcome::kWrongPlace);
  EXPECT_EQ(outcome(R"({"error":{"code":400,"err_code":10054,"description":)"
                    R"("message size exceeds maximum allowed"}})"),
            PubAck::Outcome::kTooLarge);
  EXPECT_EQ(outcome(R"({"error":{"code":400,"err_code":10060,"description":)"
                    R"("expected stream does not match"}})"),
            PubAck::Outcome::kOtherStream);
  const PubAck full = ReadPubAck(
      Answer(R"({"error":{"code":503,"err_code":10077,"description":)"
             R"("maximum messages exceeded"},"stream":"S","seq":0})"));
  EXPECT_EQ(full.outcome, PubAck::Outcome::kRefused);
  EXPECT_EQ(full.text, "maximum messages exceeded");
  EXPECT_EQ(ReadPubAck(Nobody()).outcome, PubAck::Outcome::kNoStream);
}

TEST(JetStreamTest, WhatIsNoAnswerIsNoAck) {
  for (const char* text : {"", "{}", "[1]", "nonsense", R"({"seq":"7"})",
                           R"({"error":{}})", R"({"error":7})"}) {
    EXPECT_EQ(ReadPubAck(Answer(text)).outcome, PubAck::Outcome::kRefused)
        << text;
  }
}

TEST(JetStreamTest, StreamsAreRead) {
  const auto stream = ReadStreamState(Answer(
      R"({"config":{"subjects":["a.>","b"],"max_msgs":-1,"max_bytes":-1,)"
      R"("max_age":0,"discard":"old"},"state":{"messages":6,"last_seq":9}})"));
  ASSERT_TRUE(stream.ok());
  EXPECT_EQ(stream->last_sequence, 9U);
  EXPECT_EQ(stream->subjects, (std::vector<std::string>{"a.>", "b"}));
  EXPECT_EQ(stream->dropping_limits, "");
  EXPECT_EQ(stream->messages_per_subject, 0U);
  EXPECT_FALSE(stream->server_time.has_value());
  EXPECT_TRUE(stream->held_subjects.empty());
}

TEST(JetStreamTest, LimitsThatDropMessagesAreSeen) {
  const auto limits = [](const std::string& config) {
    return ReadStreamState(
               Answer(R"({"config":{)" + config + R"(},"state":{}})"))
        ->dropping_limits;
  };
  EXPECT_EQ(limits(R"("max_bytes":1000,"discard":"old")"), "max_bytes 1000");
  EXPECT_EQ(limits(R"("max_bytes":1000,"discard":"new")"), "");
  EXPECT_EQ(limits(R"("max_age":60000000000,"discard":"new")"), "max_age 1m");
  EXPECT_EQ(limits(R"("max_bytes":-1,"discard":"old")"), "");
  EXPECT_EQ(limits(R"("max_age":1000000000,"max_msgs":7,"discard":"old")"),
            "max_age 1s, max_msgs 7");
}

TEST(JetStreamTest, SubjectsAndTheServersClockAreRead) {
  const auto stream = ReadStreamState(
      Answer(R"({"total":3,"ts":"2026-11-28T10:00:00.5Z","config":)"
             R"({"subjects":["v.>"],"max_msgs_per_subject":1,"discard":"old"},)"
             R"("state":{"last_seq":9,"subjects":{"v.a":1,"v.b":1}}})"));
  ASSERT_TRUE(stream.ok());
  EXPECT_EQ(stream->held_subjects, (std::vector<std::string>{"v.a", "v.b"}));
  EXPECT_EQ(stream->held_subjects_total, 3U);
  EXPECT_EQ(stream->messages_per_subject, 1U);
  EXPECT_EQ(stream->dropping_limits, "");
  EXPECT_EQ(stream->server_time,
            absl::FromUnixSeconds(1795860000) + absl::Milliseconds(500));
  EXPECT_EQ(StreamSubjectsBody("v.>", 2),
            R"({"offset":2,"subjects_filter":"v.>"})");
}

TEST(JetStreamTest, ErrorsSayWhatIsMissing) {
  EXPECT_TRUE(absl::IsNotFound(
      ReadStreamState(Answer(R"({"error":{"code":404,"err_code":10059,)"
                             R"("description":"stream not found"}})"))
          .status()));
  EXPECT_TRUE(absl::IsUnavailable(ReadStreamState(Nobody()).status()));
  EXPECT_TRUE(absl::IsUnavailable(ReadStreamState(Answer("")).status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(
      ReadConsumerState(Answer(R"({"error":{"code":400,"description":"x"}})"))
          .status()));
}

TEST(JetStreamTest, StoredMessagesAreRead) {
  const auto stored = ReadStoredMessage(Answer(
      R"({"message":{"subject":"a.1","seq":6,"hdrs":)"
      R"("TkFUUy8xLjANCk5hdHMtRXhwZWN0ZWQtTGFzdC1TZXF1ZW5jZTogNQ0KTmF0cy1Nc2ct)"
      R"(SWQ6IGk2DQoNCg==","data":"eA=="}})"));
  ASSERT_TRUE(stored.ok());
  EXPECT_EQ(stored->sequence, 6U);
  EXPECT_EQ(stored->message.subject, "a.1");
  EXPECT_EQ(stored->message.payload, "x");
  EXPECT_EQ(stored->message.header("Nats-Msg-Id"), "i6");
  EXPECT_EQ(stored->message.header("Nats-Expected-Last-Sequence"), "5");
}

TEST(JetStreamTest, ConsumersAreRead) {
  const auto consumer = ReadConsumerState(
      Answer(R"({"config":{"ack_policy":"explicit","filter_subject":"a.>"},)"
             R"("delivered":{"consumer_seq":4,"stream_seq":9},)"
             R"("ack_floor":{"consumer_seq":2,"stream_seq":7},)"
             R"("num_ack_pending":2,"num_pending":11})"));
  ASSERT_TRUE(consumer.ok());
  EXPECT_EQ(consumer->delivered_consumer, 4U);
  EXPECT_EQ(consumer->delivered_stream, 9U);
  EXPECT_EQ(consumer->ack_floor_stream, 7U);
  EXPECT_EQ(consumer->unacked, 2U);
  EXPECT_EQ(consumer->pending, 11U);
  EXPECT_EQ(consumer->filter, "a.>");
  EXPECT_TRUE(consumer->explicit_acks);
  EXPECT_TRUE(consumer->pulls);
  EXPECT_EQ(ConsumerFault(*consumer, "a.>"), "");
  EXPECT_EQ(ConsumerFault(*consumer, ">"),
            "has the filter \"a.>\" and not \">\"");
  EXPECT_NE(ConsumerFault(ConsumerState(), ">"), "");
}

TEST(JetStreamTest, ReplySubjectsSayWhatWasDelivered) {
  const auto plain = ReadDelivered("$JS.ACK.S.C.1.22.3.1669647000000000000.4");
  ASSERT_TRUE(plain.has_value());
  EXPECT_EQ(plain->count, 1U);
  EXPECT_EQ(plain->stream_sequence, 22U);
  EXPECT_EQ(plain->consumer_sequence, 3U);
  EXPECT_EQ(plain->pending, 4U);
  const auto with_domain =
      ReadDelivered("$JS.ACK.hub.Ab12.S.C.2.23.5.1669647000000000000.0.rnd");
  ASSERT_TRUE(with_domain.has_value());
  EXPECT_EQ(with_domain->count, 2U);
  EXPECT_EQ(with_domain->stream_sequence, 23U);
  EXPECT_EQ(with_domain->consumer_sequence, 5U);
  EXPECT_FALSE(ReadDelivered("").has_value());
  EXPECT_FALSE(ReadDelivered("_INBOX.a.b").has_value());
  EXPECT_FALSE(ReadDelivered("$JS.ACK.S.C.1.x.3.4.5").has_value());
}

TEST(JetStreamTest, BodiesAreWhatTheServerTakes) {
  EXPECT_EQ(LastMessageBody("a.>"), R"({"last_by_subj":"a.>"})");
  EXPECT_EQ(NextMessageBody(7, "a.>"), R"({"next_by_subj":"a.>","seq":7})");
  EXPECT_EQ(PullBody(5, absl::Seconds(1), absl::Milliseconds(200)),
            R"({"batch":5,"expires":1000000000,"idle_heartbeat":200000000})");
}

}  // namespace
}  // namespace fifobus::bridge
