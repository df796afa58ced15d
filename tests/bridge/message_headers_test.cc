#include "clients/cli/bridge/message_headers.h"

#include <string>
#include <vector>

#include "clients/cli/bridge/reply_times.h"
#include "gtest/gtest.h"
#include "proto/frame_writer.h"

namespace fifobus::bridge {
namespace {

// A message that has been through a frame.
class Framed {
 public:
  explicit Framed(const MessageFields& fields) {
    AppendMessageFrame(fields, frame_);
  }
  MessageView view() const { return ReadMessageFrame(frame_); }

 private:
  std::string frame_;
};

MessageFields Plain() {
  MessageFields fields;
  fields.topic = "orders/new";
  fields.payload = "one";
  return fields;
}

// Over NATS and back.
OwnedMessage ThereAndBack(const MessageFields& fields) {
  const Framed framed(fields);
  NatsMessage message;
  message.payload = fields.payload;
  message.headers = HeadersForNats(framed.view(), DeliveryView(), "edge1");
  return MessageForBus(message);
}

TEST(MessageHeadersTest, FieldsComeBack) {
  MessageFields fields = Plain();
  fields.content_type = "application/json; charset=utf-8";
  fields.reply_topic = "answers/here";
  fields.expiry_unix_nanos = 1'795'862'713'123'456'789;
  fields.publish_time_unix_nanos = 1'795'862'713'000'000'001;
  const OwnedMessage back = ThereAndBack(fields);
  EXPECT_EQ(back.payload, "one");
  EXPECT_EQ(back.content_type, fields.content_type);
  EXPECT_EQ(back.reply_topic, fields.reply_topic);
  EXPECT_EQ(back.expiry_unix_nanos, fields.expiry_unix_nanos);
  EXPECT_EQ(back.publish_time_unix_nanos, fields.publish_time_unix_nanos);
}

TEST(MessageHeadersTest, HeadersComeBackWhateverTheyAre) {
  const std::vector<HeaderView> headers = {
      {"unit", "celsius"},     {"traceparent", "00-4bf9-01"},
      {"empty", ""},           {"spaces", " both ends "},
      {"lines", "a\r\nb"},     {"Nats-Msg-Id", "forged"},
      {"fifobus-note", "x"},   {"Content-Type", "forged"},
      {"with: colon", "100%"}, {"bytes", "gr\xC3\xBCn\xFF"},
      {"Status", "503"},       {"unit", "kelvin"},
  };
  MessageFields fields = Plain();
  fields.headers = headers;
  const OwnedMessage back = ThereAndBack(fields);
  ASSERT_EQ(back.headers.size(), headers.size() + 1);
  EXPECT_EQ(back.headers[0].name, kOriginHeader);
  EXPECT_EQ(back.headers[0].value, "edge1");
  for (size_t i = 0; i < headers.size(); ++i) {
    EXPECT_EQ(back.headers[i + 1].name, headers[i].name);
    EXPECT_EQ(back.headers[i + 1].value, headers[i].value);
  }
  EXPECT_EQ(back.content_type, "");
}

TEST(MessageHeadersTest, NothingThatNatsCannotCarryGoesAsItIs) {
  const std::vector<HeaderView> headers = {{"a: b\"c", "1\r\nNats-Msg-Id: 2"}};
  MessageFields fields = Plain();
  fields.headers = headers;
  fields.content_type = " text 100%";
  const Framed framed(fields);
  for (const auto& header :
       HeadersForNats(framed.view(), DeliveryView(), "edge1")) {
    EXPECT_EQ((header.name + header.value).find_first_of("\r\n"),
              std::string::npos);
    EXPECT_EQ(header.name.find(':'), std::string::npos);
  }
  EXPECT_EQ(ThereAndBack(fields).content_type, " text 100%");
}

TEST(MessageHeadersTest, OffsetAndSequenceGoAlong) {
  MessageFields fields = Plain();
  fields.sequence = 7;
  const Framed framed(fields);
  DeliveryView delivery;
  delivery.offset = 42;
  delivery.stored_time_unix_nanos = 43;
  NatsMessage message;
  message.headers = HeadersForNats(framed.view(), delivery, "edge1");
  EXPECT_EQ(message.header("Fifobus-Sequence"), "7");
  EXPECT_EQ(message.header("Fifobus-Offset"), "42");
  EXPECT_EQ(message.header("Fifobus-Stored"), "43");
  EXPECT_EQ(message.header("Fifobus-Origin"), "edge1");
}

TEST(MessageHeadersTest, WhatComesInNeverGoesOutAgain) {
  for (const bool from_bridge : {false, true}) {
    NatsMessage message;
    if (from_bridge) message.headers = {{"Fifobus-Origin", "edge2"}};
    EXPECT_FALSE(IsFrom(message, "edge1"));
    EXPECT_EQ(IsFrom(message, "edge2"), from_bridge);
    const OwnedMessage in = MessageForBus(message);
    ASSERT_EQ(in.headers.size(), 1U);
    EXPECT_EQ(in.headers[0].value, from_bridge ? "edge2" : kOriginNats);
    const std::vector<HeaderView> headers = {
        {in.headers[0].name, in.headers[0].value}};
    MessageFields fields = Plain();
    EXPECT_FALSE(CameOverBridge(Framed(fields).view()));
    fields.headers = headers;
    EXPECT_TRUE(CameOverBridge(Framed(fields).view()));
  }
}

TEST(MessageHeadersTest, HeadersOfNatsItselfStayThere) {
  NatsMessage message;
  message.headers = {{"Nats-Msg-Id", "1"},
                     {"Nats-Expected-Stream", "S"},
                     {"Fifobus-Reply", "_inbox/3/4"},
                     {"Fifobus-Expiry", "soon"},
                     {"trace", "t"}};
  const OwnedMessage in = MessageForBus(message);
  ASSERT_EQ(in.headers.size(), 2U);
  EXPECT_EQ(in.headers[1].name, "trace");
  EXPECT_EQ(in.reply_topic, "");
  EXPECT_EQ(in.expiry_unix_nanos, 0U);
}

TEST(ReplyTimesTest, TheTimeLeftCrossesMachinesWithOtherClocks) {
  const absl::Time now = absl::FromUnixSeconds(1'000'000);
  MessageFields fields = Plain();
  NatsMessage message;
  AddTimeLeft(Framed(fields).view(), now, message.headers);
  EXPECT_TRUE(message.headers.empty());
  EXPECT_EQ(TimeForReply(Framed(fields).view(), now), kReplyTime);
  EXPECT_EQ(TimeForReply(message), kReplyTime);

  fields.expiry_unix_nanos =
      static_cast<uint64_t>(absl::ToUnixNanos(now + absl::Seconds(2)));
  AddTimeLeft(Framed(fields).view(), now, message.headers);
  EXPECT_EQ(TimeForReply(Framed(fields).view(), now), absl::Seconds(2));
  EXPECT_EQ(TimeForReply(message), absl::Seconds(2));

  NatsMessage late;
  AddTimeLeft(Framed(fields).view(), now + absl::Hours(1), late.headers);
  EXPECT_EQ(TimeForReply(late), absl::ZeroDuration());
  NatsMessage forged;
  forged.headers = {{"Fifobus-Expires-In", "99999999999999"}};
  EXPECT_EQ(TimeForReply(forged), kReplyTimeMost);
}

}  // namespace
}  // namespace fifobus::bridge
