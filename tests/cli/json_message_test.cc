#include "clients/cli/pub/json_message.h"

#include <string>
#include <string_view>

#include "gtest/gtest.h"
#include "proto/frame_writer.h"
#include "proto/message_text.h"
#include "tests/support/core_fakes.h"

namespace fifobus::cli {
namespace {

std::string FaultOf(std::string_view text) {
  return std::string(ParseJsonMessage(text).status().message());
}

TEST(JsonMessageTest, WhatSubPrintsIsReadBackToTheByte) {
  const std::string bytes("\0\xff\n\"", 4);
  const HeaderView headers[] = {{"b", bytes}, {"twice", "1"}, {"twice", "2"}};
  MessageFields fields;
  fields.topic = "a/b";
  fields.payload = bytes;
  fields.sequence = 5;
  fields.publish_time_unix_nanos = 1'000'000'001'000'000'002;
  fields.reply_topic = "r";
  fields.content_type = "text/plain";
  fields.expiry_unix_nanos = 2'000'000'001'000'000'003;
  fields.headers = headers;
  std::string frame;
  AppendMessageFrame(fields, frame);
  DeliveryView delivery;
  delivery.retained = true;
  delivery.ack_id = 7;
  delivery.delivery_count = 2;
  delivery.offset = 42;
  delivery.stored_time_unix_nanos = 1;
  std::string line;
  AppendJsonLine(ReadMessageFrame(frame), delivery, line);
  const auto message = ParseJsonMessage(line);
  ASSERT_TRUE(message.ok()) << message.status() << line;
  EXPECT_EQ(message->topic, "a/b");
  EXPECT_EQ(message->payload, bytes);
  EXPECT_EQ(message->reply_topic, "r");
  EXPECT_EQ(message->content_type, "text/plain");
  EXPECT_EQ(message->expiry_unix_nanos, fields.expiry_unix_nanos);
  EXPECT_FALSE(message->retain) << "it was retained, it is not to be";
  ASSERT_EQ(message->headers.size(), 3u);
  EXPECT_EQ(message->headers[0].value, bytes);
  EXPECT_EQ(message->headers[1].value, "1");
  EXPECT_EQ(message->headers[2].value, "2");
}

TEST(JsonMessageTest, HeadersOfOneNameAreAListOrMembers) {
  for (const char* headers : {R"({"n":["1",{"base64":"Mg=="}],"m":"3"})",
                              R"({"n":"1","n":{"base64":"Mg=="},"m":["3"]})"}) {
    const auto message = ParseJsonMessage(
        std::string(R"({"payload":"x","headers":)") + headers + "}");
    ASSERT_TRUE(message.ok()) << message.status();
    ASSERT_EQ(message->headers.size(), 3u) << headers;
    EXPECT_EQ(message->headers[0].name, "n");
    EXPECT_EQ(message->headers[0].value, "1");
    EXPECT_EQ(message->headers[1].name, "n");
    EXPECT_EQ(message->headers[1].value, "2");
    EXPECT_EQ(message->headers[2].name, "m");
    EXPECT_EQ(message->headers[2].value, "3");
  }
}

TEST(JsonMessageTest, APersonMayWriteLess) {
  const auto message = ParseJsonMessage(R"({"payload":"x","retain":true})");
  ASSERT_TRUE(message.ok()) << message.status();
  EXPECT_EQ(message->topic, "");
  EXPECT_EQ(message->payload, "x");
  EXPECT_TRUE(message->retain);
}

TEST(JsonMessageTest, WhatIsWrongIsSaid) {
  const struct {
    const char* text;
    const char* fault;
  } cases[] = {
      {"nonsense", "no JSON: parse error at line 1, column 2"},
      {"", "no JSON"},
      {"[1]", "no JSON object"},
      {"3", "no JSON object"},
      {"{\"payload\":\"x\"} {}", "no JSON"},
      {"{}", "not one payload"},
      {R"({"payload":"x","payload_base64":"eA=="})", "not one payload"},
      {R"({"payload":21.5})", "\"payload\" is no string"},
      {R"({"payload_base64":"%"})", "is no base64"},
      {R"({"payload":"x","topc":"a"})", "\"topc\" is not what a message has"},
      {R"({"payload":"x","expiry":"soon"})", "\"expiry\" is no time"},
      {R"({"payload":"x","headers":["a"]})", "\"headers\" is not"},
      {R"({"payload":"x","headers":{"n":1}})", "\"n\" is no string"},
      {R"({"payload":"x","headers":{"n":["1",2]}})", "\"n\" is no string"},
      {R"({"payload":"x","headers":{"n":{"base64":1}}})", "is no base64"},
      {R"({"payload":"x","retain":1})", "\"retain\" is not"},
  };
  for (const auto& wrong : cases) {
    EXPECT_NE(FaultOf(wrong.text).find(wrong.fault), std::string::npos)
        << wrong.text << ": " << FaultOf(wrong.text);
  }
}

}  // namespace
}  // namespace fifobus::cli
