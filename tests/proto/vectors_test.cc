// proto/vectors, which other languages' tests use too.

#include <fstream>
#include <map>
#include <string>

#include "google/protobuf/util/json_util.h"
#include "google/protobuf/util/message_differencer.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "proto/frame.h"
#include "proto/frame.pb.h"
#include "proto/frame_writer.h"
#include "proto/topic.h"
#include "tests/support/bus_support.h"

namespace fifobus {
namespace {

using Json = nlohmann::json;

Json Vectors(const std::string& name) {
  std::ifstream file("proto/vectors/" + name + ".json");
  EXPECT_TRUE(file) << name;
  return Json::parse(file);
}

std::string FromHex(const std::string& hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  }
  return bytes;
}

pb::Frame FrameOf(const Json& decoded) {
  pb::Frame frame;
  const auto status =
      google::protobuf::util::JsonStringToMessage(decoded.dump(), &frame);
  EXPECT_TRUE(status.ok()) << status.ToString();
  return frame;
}

FrameFault FaultNamed(const std::string& name) {
  const std::map<std::string, FrameFault> faults = {
      {"too_large", FrameFault::kTooLarge},
      {"malformed", FrameFault::kMalformed},
      {"no_member", FrameFault::kNoMember},
      {"several_members", FrameFault::kSeveralMembers},
      {"unknown_member", FrameFault::kUnknownMember},
      {"topic_not_first", FrameFault::kTopicNotFirst},
      {"repeated_field", FrameFault::kRepeatedField},
      {"bad_topic", FrameFault::kBadTopic},
      {"bad_text", FrameFault::kBadText},
  };
  return faults.at(name);
}

// What the broker and the library find, between them, in a frame.
FrameFault FaultOf(std::string_view frame) {
  const FrameExtent extent = FindFrame(frame, kFrameBytesMaxDefault);
  if (extent.state == FrameExtent::State::kTooLarge) {
    return FrameFault::kTooLarge;
  }
  EXPECT_EQ(extent.state, FrameExtent::State::kWhole);
  EXPECT_EQ(extent.frame_bytes, frame.size());
  const FrameView view = ReadWholeFrame(frame);
  if (view.fault != FrameFault::kNone || view.kind != FrameKind::kMessage) {
    return view.fault;
  }
  const MessageView message = ReadMessage(view.member);
  if (message.fault == FrameFault::kNone &&
      CheckTopic(message.topic) != TopicFault::kNone) {
    return FrameFault::kBadTopic;
  }
  return message.fault;
}

TEST(FrameVectors, ValidOnesDecodeToWhatTheySay) {
  for (const Json& vector : Vectors("frames")) {
    if (vector.contains("fault")) continue;
    SCOPED_TRACE(vector["name"]);
    const std::string frame = FromHex(vector["hex"]);
    EXPECT_EQ(FaultOf(frame), FrameFault::kNone);
    pb::Frame parsed;
    ASSERT_TRUE(parsed.ParseFromString(frame.substr(kFramePrefixBytes)));
    const pb::Frame decoded = FrameOf(vector["decoded"]);
    if (vector.value("canonical", true)) {
      std::string written;
      AppendFrame(decoded, written);
      EXPECT_EQ(written, frame);
    }
    parsed.DiscardUnknownFields();
    EXPECT_TRUE(
        google::protobuf::util::MessageDifferencer::Equals(parsed, decoded))
        << parsed.ShortDebugString();
  }
}

TEST(FrameVectors, InvalidOnesAreRefusedForWhatTheySay) {
  int refused = 0;
  for (const Json& vector : Vectors("frames")) {
    if (!vector.contains("fault")) continue;
    SCOPED_TRACE(vector["name"]);
    EXPECT_EQ(FaultOf(FromHex(vector["hex"])), FaultNamed(vector["fault"]));
    ++refused;
  }
  EXPECT_GT(refused, 20);
}

TEST(TopicVectors, TopicsAndPatternsAreJudgedAsTheySay) {
  const Json vectors = Vectors("topics");
  for (const Json& vector : vectors["topics"]) {
    const std::string name = vector["name"];
    const bool valid = CheckTopic(name) == TopicFault::kNone;
    EXPECT_EQ(valid, vector["valid"]) << name;
    if (valid) {
      EXPECT_EQ(!IsReserved(name), vector["publishable"]) << name;
    }
  }
  for (const Json& vector : vectors["patterns"]) {
    const std::string name = vector["name"];
    EXPECT_EQ(CheckPattern(name) == TopicFault::kNone, vector["valid"]) << name;
  }
}

TEST(TopicVectors, PatternsMatchWhatTheySay) {
  const Json vectors = Vectors("topics");
  for (const Json& vector : vectors["matches"]) {
    const std::string pattern = vector["pattern"];
    for (const std::string topic : vector["matches"]) {
      EXPECT_TRUE(Matches(pattern, topic)) << pattern << " " << topic;
    }
    for (const std::string topic : vector["does_not_match"]) {
      EXPECT_FALSE(Matches(pattern, topic)) << pattern << " " << topic;
    }
  }
}

// Whether all that `wanted` says stands in `frame` too.
void ExpectContains(const pb::Frame& frame, const Json& wanted) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  std::string text;
  ASSERT_TRUE(
      google::protobuf::util::MessageToJsonString(frame, &text, options).ok());
  Json merged = Json::parse(text);
  const Json before = merged;
  merged.merge_patch(wanted);
  EXPECT_EQ(merged, before);
}

TEST(SessionVectors, ABrokerAnswersAsTheySay) {
  const TempDir state;
  BrokerOptions options;
  options.state_dir = state.path();
  options.logs.resize(1);
  options.logs[0].name = "vectors";
  options.logs[0].pattern = "vectors/log/**";
  TestBus bus(options);
  for (const Json& vector : Vectors("sessions")) {
    SCOPED_TRACE(vector["name"]);
    RawSession session(bus.dir());
    for (const Json& step : vector["steps"]) {
      SCOPED_TRACE(step.dump());
      if (step.contains("client")) {
        session.Write(FromHex(step["client"]));
      } else if (step.contains("broker")) {
        ExpectContains(session.Next(), step["broker"]);
      } else if (step.contains("broker_hex")) {
        EXPECT_EQ(session.NextBytes(), FromHex(step["broker_hex"]));
      } else if (step.contains("close")) {
        session.CloseUp();
      } else {
        ASSERT_TRUE(step.contains("end"));
        EXPECT_TRUE(session.AtEnd());
      }
    }
  }
}

}  // namespace
}  // namespace fifobus
