#include "proto/message_text.h"

#include <cstddef>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "proto/frame_writer.h"
#include "proto/json_text.h"
#include "tests/support/core_fakes.h"

namespace fifobus {
namespace {

std::string Json(const MessageFields& fields, DeliveryView delivery = {}) {
  std::string frame;
  AppendMessageFrame(fields, frame);
  std::string text;
  AppendJsonLine(ReadMessageFrame(frame), delivery, text);
  return text;
}

TEST(PlainText, IsThePayloadAndANewline) {
  MessageView message;
  message.payload = std::string_view("a\0b", 3);
  std::string text = "before ";
  AppendPlainText(message, text);
  EXPECT_EQ(text, std::string("before a\0b\n", 11));
}

TEST(JsonLine, LeavesOutWhatIsAbsent) {
  MessageFields fields;
  fields.topic = "a/b";
  EXPECT_EQ(Json(fields), "{\"topic\":\"a/b\",\"payload\":\"\"}\n");
}

TEST(JsonLine, HasAllMetadata) {
  const HeaderView headers[] = {{"k", "v"}, {"b", "\xff"}};
  MessageFields fields;
  fields.topic = "a";
  fields.payload = "Hi";
  fields.sequence = 5;
  fields.publish_time_unix_nanos = 1'000'000'001'000'000'002;
  fields.reply_topic = "r";
  fields.content_type = "text/plain";
  fields.headers = headers;
  EXPECT_EQ(Json(fields),
            "{\"topic\":\"a\",\"payload\":\"Hi\",\"sequence\":5,"
            "\"time\":\"2001-09-09T01:46:41.000000002Z\","
            "\"reply_topic\":\"r\",\"content_type\":\"text/plain\","
            "\"headers\":{\"k\":\"v\",\"b\":{\"base64\":\"/w==\"}}}\n");
}

TEST(JsonLine, HeadersOfOneNameAreAList) {
  const HeaderView headers[] = {
      {"z", "1"}, {"a", "2"}, {"z", "\xff"}, {"z", "3"}, {"b", "4"}};
  MessageFields fields;
  fields.topic = "a";
  fields.headers = headers;
  EXPECT_EQ(Json(fields),
            "{\"topic\":\"a\",\"payload\":\"\",\"headers\":{"
            "\"z\":[\"1\",{\"base64\":\"/w==\"},\"3\"],"
            "\"a\":\"2\",\"b\":\"4\"}}\n");
}

// Each could be compared with all others, which would take minutes.
TEST(JsonLine, TakesHeadersByTheHundredThousand) {
  constexpr size_t kHeaders = 200'000;
  std::vector<std::string> names;
  for (size_t i = 0; i < kHeaders; ++i) names.push_back(std::to_string(i / 2));
  std::vector<HeaderView> headers;
  for (const std::string& name : names) headers.push_back({name, "v"});
  MessageFields fields;
  fields.topic = "a";
  fields.headers = headers;
  const std::string text = Json(fields);
  EXPECT_NE(text.find("\"headers\":{\"0\":[\"v\",\"v\"],\"1\":[\"v\",\"v\"],"),
            std::string::npos);
  EXPECT_TRUE(text.ends_with("\"99999\":[\"v\",\"v\"]}}\n"));
}

TEST(JsonLine, HasWhatTheBrokerSaysAboutTheDelivery) {
  MessageFields fields;
  fields.topic = "a";
  DeliveryView delivery;
  delivery.retained = true;
  delivery.ack_id = 7;
  delivery.delivery_count = 2;
  EXPECT_EQ(Json(fields, delivery),
            "{\"topic\":\"a\",\"payload\":\"\",\"retained\":true,"
            "\"ack_id\":7,\"delivery_count\":2}\n");
  delivery = {};
  delivery.offset = 42;
  delivery.stored_time_unix_nanos = 1;
  EXPECT_EQ(Json(fields, delivery),
            "{\"topic\":\"a\",\"payload\":\"\",\"offset\":42,"
            "\"stored_time\":\"1970-01-01T00:00:00.000000001Z\"}\n");
}

TEST(JsonLine, EscapesWhatJsonRequires) {
  MessageFields fields;
  fields.topic = "a";
  fields.payload = "\"\\\n\r\t\x01\xc3\xa4";
  EXPECT_EQ(Json(fields),
            "{\"topic\":\"a\",\"payload\":\"\\\"\\\\\\n\\r\\t\\u0001\xc3\xa4"
            "\"}\n");
}

TEST(JsonLine, GivesBytesThatAreNoTextAsBase64) {
  MessageFields fields;
  fields.topic = "a";
  fields.payload = "\xff\xfe";
  EXPECT_EQ(Json(fields), "{\"topic\":\"a\",\"payload_base64\":\"//4=\"}\n");
}

TEST(IsUtf8, FollowsTheUnicodeTable) {
  for (const char* good :
       {"", "abc", "\xc2\x80", "\xe0\xa0\x80", "\xed\x9f\xbf",
        "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"}) {
    EXPECT_TRUE(IsUtf8(good)) << good;
  }
  for (const char* bad :
       {"\x80", "\xc1\x80", "\xc2", "\xe0\x9f\x80", "\xed\xa0\x80",
        "\xf0\x8f\x80\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xe1\x80",
        "\xe1\x80\x7f", "\xf1\x80\x80\xc0"}) {
    EXPECT_FALSE(IsUtf8(bad)) << bad;
  }
}

}  // namespace
}  // namespace fifobus
