#include "clients/cli/sub/message_format.h"

#include <string>
#include <string_view>

#include "gtest/gtest.h"
#include "proto/frame_writer.h"
#include "tests/support/core_fakes.h"

namespace fifobus::cli {
namespace {

// What a template makes of one message.
std::string Formatted(std::string_view text) {
  const HeaderView headers[] = {{"unit", "F"}, {"unit", "C"}};
  MessageFields fields;
  fields.topic = "a/b";
  fields.payload = "21.5";
  fields.sequence = 7;
  fields.publish_time_unix_nanos = 1'000'000'001;
  fields.content_type = "text/plain";
  fields.headers = headers;
  std::string frame;
  AppendMessageFrame(fields, frame);
  DeliveryView delivery;
  delivery.retained = true;
  const auto format = MessageFormat::Parse(text);
  EXPECT_TRUE(format.ok()) << format.status();
  std::string out;
  if (format.ok()) format->Append(ReadMessageFrame(frame), delivery, out);
  return out;
}

std::string FaultOf(std::string_view text) {
  return std::string(MessageFormat::Parse(text).status().message());
}

TEST(MessageFormatTest, FieldsAreReplacedAndNothingIsAdded) {
  EXPECT_EQ(Formatted("{topic} {sequence} {payload}"), "a/b 7 21.5");
  EXPECT_EQ(Formatted("{time}|{content_type}|{size}|{retained}"),
            "1970-01-01T00:00:01.000000001Z|text/plain|4|true");
  EXPECT_EQ(Formatted("{reply_topic}{expiry}{delivery_count}"), "0");
  EXPECT_EQ(Formatted(""), "");
}

TEST(MessageFormatTest, OfHeadersWithOneNameTheLastCounts) {
  EXPECT_EQ(Formatted("{header:unit}"), "C");
  EXPECT_EQ(Formatted("<{header:absent}>"), "<>");
}

TEST(MessageFormatTest, JsonIsTheObjectWithoutANewline) {
  const std::string json = Formatted("{json}");
  EXPECT_TRUE(json.starts_with("{\"topic\":\"a/b\"")) << json;
  EXPECT_TRUE(json.ends_with('}')) << json;
}

TEST(MessageFormatTest, EscapesAreAsInC) {
  EXPECT_EQ(Formatted("\\n\\t\\r\\\\\\0"), std::string("\n\t\r\\\0", 5));
  EXPECT_EQ(Formatted("{{{topic}}"), "{a/b}");
}

TEST(MessageFormatTest, AFaultNamesItsPlace) {
  EXPECT_TRUE(FaultOf("ab{topc}").find("at character 3: {topc} is no field") !=
              std::string::npos)
      << FaultOf("ab{topc}");
  for (const char* text : {"x\\q", "x\\", "x{topic", "x{}", "x{header:}"}) {
    EXPECT_NE(FaultOf(text).find("at character 2"), std::string::npos) << text;
  }
}

}  // namespace
}  // namespace fifobus::cli
