#include "proto/frame.h"

#include <fstream>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "proto/frame.pb.h"
#include "proto/frame_writer.h"
#include "tests/support/core_fakes.h"

namespace fifobus {
namespace {

std::string Field(uint32_t number, std::string_view bytes) {
  std::string field(1, static_cast<char>(number << 3 | 2));
  EXPECT_LT(bytes.size(), 128u);
  field += static_cast<char>(bytes.size());
  return field.append(bytes);
}

FrameFault FaultOfMessage(std::string_view member) {
  return ReadMessage(member).fault;
}

TEST(FindFrame, PartialPrefixYieldsNoFrame) {
  for (size_t bytes = 0; bytes < kFramePrefixBytes; ++bytes) {
    const FrameExtent extent = FindFrame(std::string(bytes, '\0'), 100);
    EXPECT_EQ(extent.state, FrameExtent::State::kPartial);
    EXPECT_EQ(extent.frame_bytes, kFramePrefixBytes);
  }
}

TEST(FindFrame, SaysHowManyBytesAPartialFrameNeeds) {
  const std::string frame = MessageFrame("a", "hello");
  for (size_t bytes = kFramePrefixBytes; bytes < frame.size(); ++bytes) {
    const FrameExtent extent = FindFrame(frame.substr(0, bytes), 100);
    EXPECT_EQ(extent.state, FrameExtent::State::kPartial);
    EXPECT_EQ(extent.frame_bytes, frame.size());
  }
  EXPECT_EQ(FindFrame(frame + "more", 100).state, FrameExtent::State::kWhole);
}

TEST(FindFrame, ALengthAboveTheLimitIsRefusedBeforeItsBytesCome) {
  const std::string four_gigabytes = "\xff\xff\xff\xff";
  EXPECT_EQ(FindFrame(four_gigabytes, kFrameBytesMaxDefault).state,
            FrameExtent::State::kTooLarge);
  const std::string limit("\0\0\0\x64", 4);
  EXPECT_EQ(FindFrame(limit, 100).state, FrameExtent::State::kPartial);
  EXPECT_EQ(FindFrame(limit, 99).state, FrameExtent::State::kTooLarge);
}

TEST(ReadFrame, NamesTheOnlyMember) {
  pb::Frame ping;
  ping.mutable_ping()->set_token(7);
  const std::string frame = ControlFrame(ping);
  const FrameView view = ReadWholeFrame(frame);
  EXPECT_EQ(view.fault, FrameFault::kNone);
  EXPECT_EQ(view.kind, FrameKind::kPing);
  pb::Ping parsed;
  EXPECT_TRUE(parsed.ParseFromString(std::string(view.member)));
  EXPECT_EQ(parsed.token(), 7u);
}

TEST(ReadFrame, EveryKindHasItsNumber) {
  const auto* member = pb::Frame::descriptor()->FindOneofByName("member");
  ASSERT_EQ(member->field_count(), 20);
  for (int i = 0; i < member->field_count(); ++i) {
    const int number = member->field(i)->number();
    pb::Frame frame;
    frame.GetReflection()->MutableMessage(&frame, member->field(i));
    const FrameView view = ReadFrame(frame.SerializeAsString());
    // Tags above 15 take two bytes; the walk must not care.
    EXPECT_EQ(view.fault, FrameFault::kNone) << number;
    EXPECT_EQ(static_cast<int>(view.kind), number);
  }
}

TEST(ReadFrame, RefusesAnythingButOneMember) {
  EXPECT_EQ(ReadFrame("").fault, FrameFault::kNoMember);
  EXPECT_EQ(ReadFrame(Field(12, "") + Field(12, "")).fault,
            FrameFault::kSeveralMembers);
  EXPECT_EQ(ReadFrame(Field(1, Field(1, "a")) + Field(12, "")).fault,
            FrameFault::kSeveralMembers);
  // Field 21, a kind this version does not know.
  EXPECT_EQ(ReadFrame(std::string("\xaa\x01\x00", 3)).fault,
            FrameFault::kUnknownMember);
}

TEST(ReadFrame, RefusesWhatIsNotProtobuf) {
  EXPECT_EQ(ReadFrame("garbage!").fault, FrameFault::kMalformed);
  EXPECT_EQ(ReadFrame(std::string("\x0a\x05"
                                  "abc"))
                .fault,
            FrameFault::kMalformed);  // a length beyond the end
  EXPECT_EQ(ReadFrame(std::string("\x08\x01")).fault,
            FrameFault::kMalformed);  // field 1 as a varint
  EXPECT_EQ(ReadFrame(std::string(11, '\xff')).fault,
            FrameFault::kMalformed);  // an endless varint
  EXPECT_EQ(ReadFrame(std::string("\x02\x00", 2)).fault,
            FrameFault::kMalformed);  // field number 0
  EXPECT_EQ(ReadFrame(std::string("\x0b\x0c")).fault,
            FrameFault::kMalformed);  // a group
}

TEST(ReadMessage, RoundTripKeepsAllFields) {
  const HeaderView headers[] = {{"k", "v"}, {"bin", "\xff\x01"}};
  MessageFields fields;
  fields.topic = "a/b";
  fields.payload = "payload";
  fields.sequence = 1u << 31;
  fields.publish_time_unix_nanos = 1'800'000'000'123'456'789;
  fields.reply_topic = "answers/1";
  fields.content_type = "text/plain";
  fields.expiry_unix_nanos = 42;
  fields.headers = headers;
  fields.retain = true;
  fields.confirm_id = 300;
  std::string frame;
  AppendMessageFrame(fields, frame);
  EXPECT_EQ(frame.size(), kFramePrefixBytes + MessageBodyBytes(fields));

  const FrameView view = ReadWholeFrame(frame);
  ASSERT_EQ(view.kind, FrameKind::kMessage);
  const MessageView message = ReadMessage(view.member);
  ASSERT_EQ(message.fault, FrameFault::kNone);
  EXPECT_EQ(message.topic, fields.topic);
  EXPECT_EQ(message.payload, fields.payload);
  EXPECT_EQ(message.sequence, fields.sequence);
  EXPECT_EQ(message.publish_time_unix_nanos, fields.publish_time_unix_nanos);
  EXPECT_EQ(message.reply_topic, fields.reply_topic);
  EXPECT_EQ(message.content_type, fields.content_type);
  EXPECT_EQ(message.expiry_unix_nanos, fields.expiry_unix_nanos);
  EXPECT_TRUE(message.retain);
  EXPECT_EQ(message.confirm_id, 300u);
  HeaderReader reader(message);
  for (const HeaderView& header : headers) {
    const auto read = reader.Next();
    ASSERT_TRUE(read.has_value());
    EXPECT_EQ(read->name, header.name);
    EXPECT_EQ(read->value, header.value);
  }
  EXPECT_FALSE(reader.Next().has_value());
}

TEST(ReadMessage, AgreesWithProtobufAboutWhatWasWritten) {
  MessageFields fields;
  fields.topic = "a/b";
  fields.payload = std::string_view("\0x", 2);
  fields.sequence = 300;
  const HeaderView header = {"name", "value"};
  fields.headers = {&header, 1};
  std::string frame;
  AppendMessageFrame(fields, frame);
  const pb::Frame parsed = Parse(frame);
  ASSERT_TRUE(parsed.has_message());
  EXPECT_EQ(parsed.message().topic(), "a/b");
  EXPECT_EQ(parsed.message().payload(), fields.payload);
  EXPECT_EQ(parsed.message().sequence(), 300u);
  EXPECT_EQ(parsed.message().headers(0).value(), "value");
  EXPECT_EQ(parsed.ByteSizeLong() + kFramePrefixBytes, frame.size());
}

TEST(ReadMessage, TheHeadAloneIsTheFrameWithoutItsPayload) {
  MessageFields fields;
  fields.topic = "a";
  fields.payload = "0123456789";
  std::string head;
  AppendMessageHead(fields, head);
  EXPECT_EQ(head + "0123456789", MessageFrame("a", "0123456789"));
}

TEST(ReadMessage, RefusesAMessageThatDoesNotBeginWithItsTopic) {
  EXPECT_EQ(FaultOfMessage(""), FrameFault::kTopicNotFirst);
  EXPECT_EQ(FaultOfMessage(Field(15, "p") + Field(1, "a")),
            FrameFault::kTopicNotFirst);
  EXPECT_EQ(FaultOfMessage(std::string("\x08\x01")),
            FrameFault::kTopicNotFirst);
}

TEST(ReadMessage, RefusesASingularFieldThatOccursTwice) {
  EXPECT_EQ(FaultOfMessage(Field(1, "a") + Field(1, "$sys")),
            FrameFault::kRepeatedField);
  EXPECT_EQ(FaultOfMessage(Field(1, "a") + Field(15, "x") + Field(15, "y")),
            FrameFault::kRepeatedField);
  EXPECT_EQ(FaultOfMessage(Field(1, "a") + "\x10\x01\x10\x02"),
            FrameFault::kRepeatedField);
}

TEST(ReadMessage, HeadersMayRepeat) {
  const std::string header = Field(7, Field(1, "k"));
  EXPECT_EQ(FaultOfMessage(Field(1, "a") + header + header), FrameFault::kNone);
}

TEST(ReadMessage, UnknownFieldsPass) {
  const std::string unknown = Field(14, "new") + "\x60\x05" +
                              std::string("\x6d\0\0\0\0", 5) +
                              std::string("\x59\0\0\0\0\0\0\0\0", 9);
  const std::string member = Field(1, "a") + unknown + Field(15, "p");
  const MessageView message = ReadMessage(member);
  EXPECT_EQ(message.fault, FrameFault::kNone);
  EXPECT_EQ(message.payload, "p");
}

TEST(ReadMessage, RefusesATagOfSixBytes) {
  const auto with_tag = [](std::string_view tag) {
    return Field(1, "a") + std::string(tag) + "\x05";
  };
  EXPECT_EQ(FaultOfMessage(with_tag({"\xe0\x80\x80\x80\x00", 5})),
            FrameFault::kNone);
  EXPECT_EQ(FaultOfMessage(with_tag({"\xe0\x80\x80\x80\x80\x00", 6})),
            FrameFault::kMalformed);
}

TEST(ReadMessage, RefusesTextThatParsersOfOtherLanguagesWouldRefuse) {
  EXPECT_EQ(FaultOfMessage(Field(1, "a") + Field(5, "\xff")),
            FrameFault::kBadText);
  EXPECT_EQ(FaultOfMessage(Field(1, "a") + Field(7, Field(1, "\x80"))),
            FrameFault::kBadText);
  // Only the last name counts, and parsers look at both.
  EXPECT_EQ(FaultOfMessage(Field(1, "a") +
                           Field(7, Field(1, "\x80") + Field(1, "name"))),
            FrameFault::kBadText);
  EXPECT_EQ(FaultOfMessage(Field(1, "a") + Field(4, "no topic")),
            FrameFault::kBadTopic);
}

TEST(ReadMessage, RefusesAWrongWireTypeOfAKnownField) {
  EXPECT_EQ(FaultOfMessage(Field(1, "a") + Field(2, "x")),
            FrameFault::kMalformed);
  EXPECT_EQ(FaultOfMessage(Field(1, "a") + "\x78\x01"), FrameFault::kMalformed);
}

// Whatever the bytes, the walk ends inside them (the sanitizers watch), and
// what it lets pass protobuf can parse.
TEST(ReadMessage, WhatPassesParses) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  const std::string good = MessageFrame("topic/level", "some payload bytes");
  int passed = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string frame = good;
    for (unsigned flips = random() % 3; flips > 0; --flips) {
      frame[4 + random() % (frame.size() - 4)] = static_cast<char>(random());
    }
    const FrameView view = ReadWholeFrame(frame);
    if (view.fault != FrameFault::kNone || view.kind != FrameKind::kMessage) {
      continue;
    }
    const MessageView message = ReadMessage(view.member);
    if (message.fault != FrameFault::kNone || message.topic != "topic/level") {
      continue;
    }
    ++passed;
    pb::Frame parsed;
    ASSERT_TRUE(parsed.ParseFromString(frame.substr(4)));
    ASSERT_EQ(parsed.message().topic(), message.topic);
    ASSERT_EQ(parsed.message().payload(), message.payload);
  }
  EXPECT_GT(passed, 1000);
}

TEST(ReadDelivery, ReadsWhatTheWriterWrites) {
  DeliveryView delivery;
  delivery.retained = true;
  delivery.ack_id = 1u << 31;
  delivery.delivery_count = 2;
  std::string frame;
  AppendDeliveryFrame(delivery, frame);
  const pb::Frame parsed = Parse(frame);
  EXPECT_TRUE(parsed.delivery().retained());
  EXPECT_EQ(parsed.delivery().ack_id(), 1u << 31);
  EXPECT_EQ(parsed.delivery().delivery_count(), 2u);
  EXPECT_EQ(ControlFrame(parsed), frame);

  const FrameView view = ReadWholeFrame(frame);
  ASSERT_EQ(view.kind, FrameKind::kDelivery);
  const DeliveryView read = ReadDelivery(view.member);
  EXPECT_EQ(read.fault, FrameFault::kNone);
  EXPECT_TRUE(read.retained);
  EXPECT_EQ(read.ack_id, 1u << 31);
  EXPECT_EQ(read.delivery_count, 2u);
}

TEST(ReadDelivery, PassesUnknownFieldsAndRefusesWrongOnes) {
  EXPECT_EQ(ReadDelivery(Field(14, "new")).fault, FrameFault::kNone);
  EXPECT_EQ(ReadDelivery(Field(2, "x")).fault, FrameFault::kMalformed);
  EXPECT_EQ(ReadDelivery("\x08").fault, FrameFault::kMalformed);
}

TEST(FrameFaultText, EveryFaultHasAClause) {
  for (int fault = 1; fault <= static_cast<int>(FrameFault::kBadText);
       ++fault) {
    EXPECT_FALSE(FrameFaultText(static_cast<FrameFault>(fault)).empty());
  }
}

// The bytes of an example of FRAMING.md: the hex digits of each line up to two
// spaces, behind which its meaning follows.
std::string DocumentedFrame(const std::string& name) {
  std::ifstream document("proto/FRAMING.md");
  std::string frame;
  bool inside = false;
  for (std::string line; std::getline(document, line);) {
    if (line == "```") inside = false;
    if (inside) {
      line.erase(0, line.find_first_not_of(' '));
      std::istringstream digits(line.substr(0, line.find("  ")));
      for (std::string byte; digits >> byte;) {
        EXPECT_EQ(byte.size(), 2u) << line;
        frame += static_cast<char>(std::stoi(byte, nullptr, 16));
      }
    }
    if (line == "```hex " + name) inside = true;
  }
  return frame;
}

TEST(FramingDocument, ItsExamplesAreWhatTheWriterWrites) {
  MessageFields fields;
  fields.topic = "greetings";
  fields.sequence = 1;
  fields.payload = "Hello World!";
  std::string message;
  AppendMessageFrame(fields, message);
  EXPECT_EQ(DocumentedFrame("message"), message);

  pb::Frame subscribe;
  subscribe.mutable_subscribe()->set_request_id(7);
  subscribe.mutable_subscribe()->set_pattern("sensors/**");
  EXPECT_EQ(DocumentedFrame("subscribe"), ControlFrame(subscribe));

  DeliveryView delivery;
  delivery.retained = true;
  std::string frame;
  AppendDeliveryFrame(delivery, frame);
  EXPECT_EQ(DocumentedFrame("delivery"), frame);
}

TEST(Ack, IsWrittenAsProtobufDoes) {
  for (const uint64_t id : {uint64_t{1}, uint64_t{300}, UINT64_MAX}) {
    for (const AckVerdict verdict : {AckVerdict::kDone, AckVerdict::kRetry}) {
      std::string bytes;
      AppendAckFrame(id, verdict, bytes);
      pb::Frame frame;
      ASSERT_TRUE(frame.ParseFromString(bytes.substr(kFramePrefixBytes)));
      ASSERT_EQ(frame.ack().ack_ids_size(), 1);
      EXPECT_EQ(frame.ack().ack_ids(0), id);
      EXPECT_EQ(frame.ack().verdict(), verdict == AckVerdict::kRetry
                                           ? pb::Ack::VERDICT_RETRY
                                           : pb::Ack::VERDICT_DONE);
      std::string expected;
      AppendFrame(frame, expected);
      EXPECT_EQ(bytes, expected);
    }
  }
}

}  // namespace
}  // namespace fifobus
