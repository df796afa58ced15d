#include "proto/repeated_message.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/support/core_fakes.h"

namespace fifobus {
namespace {

RepeatedMessage After(const std::string& frame) {
  const MessageView message = ReadMessageFrame(frame);
  EXPECT_EQ(message.fault, FrameFault::kNone);
  RepeatedMessage repeated;
  repeated.Remember(frame, message);
  return repeated;
}

TEST(RepeatedMessage, IsOneOfTheSameTopicAndSize) {
  for (const size_t size :
       {size_t{1}, size_t{127}, size_t{128}, size_t{9000}}) {
    const std::string first = MessageFrame("a/b", std::string(size, 'x'));
    const std::string second = MessageFrame("a/b", std::string(size, 'y'));
    const RepeatedMessage repeated = After(first);
    EXPECT_TRUE(repeated.IsFrontOf(second + "next")) << size;
    EXPECT_EQ(repeated.frame_bytes(), first.size());
    EXPECT_EQ(repeated.payload_bytes(), size);
  }
}

TEST(RepeatedMessage, IsNoneOfAnotherTopicOrSize) {
  const std::string first = MessageFrame("a/b", "12");
  const RepeatedMessage repeated = After(first);
  EXPECT_FALSE(repeated.IsFrontOf(MessageFrame("a/c", "12")));
  EXPECT_FALSE(repeated.IsFrontOf(MessageFrame("a/b", "123")));
  EXPECT_FALSE(repeated.IsFrontOf(MessageFrame("a/b", "1") + "2"));
}

TEST(RepeatedMessage, IsWhole) {
  const std::string first = MessageFrame("a/b", "12");
  const RepeatedMessage repeated = After(first);
  const std::string second = MessageFrame("a/b", "34");
  for (size_t size = 0; size < second.size(); ++size) {
    EXPECT_FALSE(repeated.IsFrontOf(second.substr(0, size))) << size;
  }
}

TEST(RepeatedMessage, HasNoOtherFields) {
  std::vector<MessageFields> others(7);
  others[0].sequence = 1;
  others[1].publish_time_unix_nanos = 1;
  others[2].reply_topic = "r";
  others[3].content_type = "t";
  others[4].expiry_unix_nanos = 1;
  others[5].retain = true;
  others[6].confirm_id = 1;
  for (MessageFields& fields : others) {
    fields.topic = "a/b";
    fields.payload = "x";
    std::string frame;
    AppendMessageFrame(fields, frame);
    EXPECT_FALSE(After(frame).IsFrontOf(frame));
  }
  const std::string plain = MessageFrame("a/b", "x");
  EXPECT_TRUE(After(plain).IsFrontOf(plain));
}

TEST(RepeatedMessage, HasNothingBehindItsPayload) {
  // Field 16, unknown, a varint: two bytes of tag and one of value.
  std::string frame = MessageFrame("a/b", "x") + std::string("\x80\x01\x05");
  frame[kFramePrefixBytes - 1] = static_cast<char>(frame[3] + 3);
  frame[kFramePrefixBytes + 1] = static_cast<char>(frame[5] + 3);
  EXPECT_FALSE(After(frame).IsFrontOf(frame));
}

TEST(RepeatedMessage, IsNoneWhenNothingIsRemembered) {
  RepeatedMessage repeated;
  const std::string frame = MessageFrame("a/b", "x");
  EXPECT_FALSE(repeated.IsFrontOf(frame));
  repeated = After(frame);
  repeated.Forget();
  EXPECT_FALSE(repeated.IsFrontOf(frame));
}

}  // namespace
}  // namespace fifobus
