#include "clients/cpp/internal/send_buffer.h"

#include <cstdint>
#include <fstream>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/escaping.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "proto/frame.h"
#include "proto/frame.pb.h"
#include "proto/frame_writer.h"

namespace fifobus {
namespace {

std::string Frame(std::string_view payload) {
  MessageFields fields;
  fields.topic = "a";
  fields.payload = payload;
  std::string bytes;
  AppendMessageFrame(fields, bytes);
  return bytes;
}

std::string PingFrame() {
  pb::Frame frame;
  frame.mutable_ping()->set_token(7);
  std::string bytes;
  AppendFrame(frame, bytes);
  return bytes;
}

// A buffer and the pipe behind it, of which a broker reads what a test says.
class SendBufferTest : public testing::Test {
 protected:
  void Add(const std::string& frame) { buffer_.bytes() += frame; }
  // Writes so much of what is unwritten.
  void Write(size_t bytes) {
    pipe_ += buffer_.unwritten().substr(0, bytes);
    buffer_.OnWritten(bytes);
  }
  void WriteAll() {
    Write(buffer_.unwritten().size());
    buffer_.OnAllWritten();
    if (buffer_.IsLong()) buffer_.Trim(pipe_.size());
  }
  void Publish(const std::string& frame) {
    Add(frame);
    WriteAll();
  }
  // From its caller's memory, up to `bytes` of the payload.
  void WriteHole(std::string_view payload, size_t bytes) {
    pipe_ += payload.substr(0, bytes);
    buffer_.OnHoleWritten(bytes);
  }
  void Read(size_t bytes) { pipe_.erase(0, bytes); }
  Remains Take() { return buffer_.Take(SendBuffer::Reading::kOver, pipe_); }

  SendBuffer buffer_{SendBuffer::Keep::kUnread};
  std::string pipe_;
};

TEST_F(SendBufferTest, WhatWasNotReadIsTakenBackInOrder) {
  for (const char* payload : {"1", "2", "3"}) Publish(Frame(payload));
  Read(Frame("1").size());
  const Remains remains = Take();
  EXPECT_EQ(remains.frames, Frame("2") + Frame("3"));
  EXPECT_EQ(remains.messages, 2u);
  EXPECT_EQ(remains.lost, 0u);
  EXPECT_TRUE(remains.unknown) << "of the first nobody knows";
}

TEST_F(SendBufferTest, WhereNothingWasReadNothingIsUnknown) {
  Publish(PingFrame());
  Publish(Frame("1"));
  Read(PingFrame().size());
  const Remains remains = Take();
  EXPECT_EQ(remains.frames, Frame("1"));
  EXPECT_FALSE(remains.unknown);
}

TEST_F(SendBufferTest, AFrameThatWasReadInPartIsTakenBackWhole) {
  Publish(Frame("1"));
  Publish(Frame("2"));
  for (size_t read = 1; read < Frame("1").size(); ++read) {
    SCOPED_TRACE(read);
    Publish(Frame("1"));
    Publish(Frame("2"));
    Read(pipe_.size() - Frame("1").size() - Frame("2").size() + read);
    EXPECT_EQ(Take().frames, Frame("1") + Frame("2"));
    pipe_.clear();
  }
}

TEST_F(SendBufferTest, WhatWasNotWrittenGoesToo) {
  Publish(Frame("read"));
  Read(pipe_.size());
  Add(Frame("begun"));
  Add(Frame("gathered"));
  Write(3);
  EXPECT_TRUE(buffer_.has_begun());
  Read(2);
  EXPECT_EQ(Take().frames, Frame("begun") + Frame("gathered"));
  EXPECT_FALSE(buffer_.has_begun());
  EXPECT_TRUE(buffer_.unwritten().empty());
}

TEST_F(SendBufferTest, ControlFramesStayBehind) {
  Publish(Frame("1") + PingFrame() + Frame("2") + PingFrame());
  const Remains remains = Take();
  EXPECT_EQ(remains.frames, Frame("1") + Frame("2"));
  EXPECT_EQ(remains.messages, 2u);
}

TEST_F(SendBufferTest, WhatItsCallerStillHasIsNotTakenBack) {
  Publish(Frame("1"));
  buffer_.BeginCallers();
  Add(Frame("the caller's"));
  Write(5);
  EXPECT_EQ(Take().frames, Frame("1"));

  pipe_.clear();
  buffer_.BeginCallers();
  Add(Frame("the caller's"));
  Write(5);
  buffer_.EndCallers();
  EXPECT_EQ(Take().frames, Frame("the caller's")) << "no longer";
}

TEST_F(SendBufferTest, ACallersFrameBehindALargePayloadIsNotTakenBack) {
  const std::string payload(100'000, 'p');
  const std::string frame = Frame(payload);
  Add(frame.substr(0, frame.size() - payload.size()));
  Write(buffer_.unwritten().size());
  WriteHole(payload, payload.size());
  buffer_.OnAllWritten();
  buffer_.BeginCallers();
  Add(frame.substr(0, frame.size() - payload.size()));
  Write(buffer_.unwritten().size());
  WriteHole(payload, 50'000);
  const Remains remains = Take();
  EXPECT_EQ(remains.frames, frame);
  EXPECT_EQ(remains.lost, 0u);
}

TEST_F(SendBufferTest, ALargePayloadIsReadBackOutOfThePipe) {
  const std::string payload(100'000, 'p');
  const std::string frame = Frame(payload);
  Publish(Frame("1"));
  Add(frame.substr(0, frame.size() - payload.size()));
  Write(buffer_.unwritten().size());
  WriteHole(payload, 40'000);
  WriteHole(std::string_view(payload).substr(40'000), 60'000);
  buffer_.OnAllWritten();
  buffer_.Trim(pipe_.size());
  Publish(Frame("2"));
  Read(Frame("1").size() + 10);  // all of it is in the head
  const Remains remains = Take();
  EXPECT_EQ(remains.frames, frame + Frame("2"));
  EXPECT_EQ(remains.lost, 0u);
}

TEST_F(SendBufferTest, ALargePayloadThatWasReadInPartIsCountedAsLost) {
  const std::string payload(100'000, 'p');
  const std::string frame = Frame(payload);
  Add(frame.substr(0, frame.size() - payload.size()));
  Write(buffer_.unwritten().size());
  WriteHole(payload, payload.size());
  buffer_.OnAllWritten();
  Publish(Frame("2"));
  Read(frame.size() - 1);
  const Remains remains = Take();
  EXPECT_EQ(remains.frames, Frame("2"));
  EXPECT_EQ(remains.lost, 1u);
  EXPECT_FALSE(remains.unknown);
}

TEST_F(SendBufferTest, WithoutThePipeOnlyWhatIsNotInItIsTakenBack) {
  Publish(Frame("in the pipe"));
  Add(Frame("begun") + Frame("gathered"));
  Write(3);
  const Remains remains =
      buffer_.Take(SendBuffer::Reading::kOver, std::nullopt);
  EXPECT_EQ(remains.frames, Frame("begun") + Frame("gathered"));
  EXPECT_TRUE(remains.unknown);
}

TEST_F(SendBufferTest, ABrokerThatReadsOnLeavesWhatIsNotInThePipe) {
  Publish(Frame("in the pipe"));
  Add(Frame("begun") + Frame("gathered"));
  Write(3);
  const Remains remains =
      buffer_.Take(SendBuffer::Reading::kGoesOn, std::nullopt);
  EXPECT_EQ(remains.frames, Frame("begun") + Frame("gathered"));
  EXPECT_FALSE(remains.unknown);
}

TEST_F(SendBufferTest, DecidesAsTheVectorsSay) {
  std::ifstream file("proto/vectors/take_back.json");
  ASSERT_TRUE(file);
  const auto cases = nlohmann::json::parse(file);
  ASSERT_FALSE(cases.empty());
  for (const auto& one : cases) {
    SCOPED_TRACE(one["name"].get<std::string>());
    std::vector<std::string> frames;
    for (const auto& hex : one["frames"]) {
      frames.push_back(absl::HexStringToBytes(hex.get<std::string>()));
      Add(frames.back());
    }
    pipe_.clear();
    Write(one["written"].get<size_t>());
    Read(pipe_.size() - one["unread"].get<size_t>());
    std::string again;
    for (const auto& index : one["again"]) again += frames[index.get<size_t>()];
    const Remains remains = Take();
    EXPECT_EQ(remains.frames, again);
    EXPECT_EQ(remains.messages, one["again"].size());
    EXPECT_EQ(remains.unknown, one["unknown"].get<bool>());
  }
}

// Another process of the user can open the FIFO too.
TEST_F(SendBufferTest, ForeignBytesAreNeverPublished) {
  const std::string payload(100'000, 'p');
  const std::string large = Frame(payload);
  const auto fill = [&] {
    pipe_.clear();
    Publish(Frame("1"));
    Add(large.substr(0, large.size() - payload.size()));
    Write(buffer_.unwritten().size());
    WriteHole(payload, payload.size());
    buffer_.OnAllWritten();
    Publish(Frame("2"));
  };
  std::mt19937 random(20261128);
  for (int round = 0; round < 2000; ++round) {
    fill();
    const std::string written = pipe_;
    Read(random() % written.size());
    const size_t at = random() % (pipe_.size() + 1);
    switch (random() % 4) {
      case 0:
        pipe_.insert(at, Frame("evil"));
        break;
      case 1:
        pipe_.insert(at, std::string(1 + random() % 300'000, '\xff'));
        break;
      case 2:
        pipe_.erase(at, 1 + random() % 10);
        break;
      default:
        if (at < pipe_.size()) pipe_[at] = static_cast<char>(~pipe_[at]);
    }
    const Remains remains = Take();
    std::string_view rest = remains.frames;
    uint64_t messages = 0;
    while (!rest.empty()) {
      const FrameExtent extent = FindFrame(rest, kFrameBytesMaxDefault);
      ASSERT_EQ(extent.state, FrameExtent::State::kWhole);
      const MessageView message =
          ReadMessageFrame(rest.substr(0, extent.frame_bytes));
      ASSERT_EQ(message.fault, FrameFault::kNone);
      ASSERT_EQ(message.topic, "a");
      // What is inside a payload that is not here cannot be known again.
      ASSERT_TRUE(message.payload == "1" || message.payload == "2" ||
                  message.payload.size() == payload.size())
          << round;
      rest.remove_prefix(extent.frame_bytes);
      ++messages;
    }
    ASSERT_EQ(messages, remains.messages);
    ASSERT_LE(remains.messages + remains.lost, 3u);
  }
}

TEST_F(SendBufferTest, HoldsNoMoreThanThePipeAndABlock) {
  const std::string frame = Frame(std::string(1000, 'x'));
  constexpr size_t kPipeBytes = 200'000;
  for (int i = 0; i < 5000; ++i) {
    Publish(frame);
    if (pipe_.size() > kPipeBytes) Read(pipe_.size() - kPipeBytes);
    ASSERT_LE(buffer_.written_bytes(),
              kPipeBytes + 2 * (SendBuffer::kBlockBytes + frame.size()));
    ASSERT_GE(buffer_.written_bytes(), pipe_.size());
  }
  Read(pipe_.size());
  while (!buffer_.IsLong()) {
    Add(frame);
    Write(frame.size());
    buffer_.OnAllWritten();
  }
  buffer_.Trim(0);
  EXPECT_EQ(buffer_.written_bytes(), 0u);
}

TEST_F(SendBufferTest, NothingIsKeptForAClientThatDoesNotReconnect) {
  SendBuffer buffer(SendBuffer::Keep::kNothing);
  buffer.bytes() += Frame("1");
  buffer.OnWritten(Frame("1").size());
  buffer.OnAllWritten();
  EXPECT_EQ(buffer.written_bytes(), 0u);
}

// Books over many sessions of random writes, reads and ends.
TEST_F(SendBufferTest, EachMessageIsReadOrTakenBackOrCounted) {
  const uint32_t seed = std::random_device()();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 300; ++round) {
    std::vector<std::string> frames;
    std::vector<bool> is_hole;
    const int count = 1 + static_cast<int>(random() % 200);
    size_t read = 0;
    for (int i = 0; i < count; ++i) {
      std::string payload = std::to_string(i) + ":";
      const bool hole = random() % 8 == 0;
      payload.append(random() % (hole ? 90'000 : 3'000), 'x');
      frames.push_back(Frame(payload));
      is_hole.push_back(hole);
      if (hole) {
        WriteAll();
        Add(frames.back().substr(0, frames.back().size() - payload.size()));
        Write(buffer_.unwritten().size());
        WriteHole(payload, payload.size());
        buffer_.OnAllWritten();
        if (buffer_.IsLong()) buffer_.Trim(pipe_.size());
      } else {
        Add(frames.back());
        if (random() % 2 == 0) WriteAll();
      }
      const size_t more = random() % 2 == 0 ? random() % (pipe_.size() + 1) : 0;
      Read(more);
      read += more;
    }
    const Remains remains = Take();
    pipe_.clear();
    std::string expected;
    uint64_t lost = 0;
    size_t end = 0;
    for (size_t i = 0; i < frames.size(); ++i) {
      const size_t begin = end;
      end += frames[i].size();
      if (end <= read) continue;
      // Whether anything of its payload was read.
      const size_t head =
          frames[i].size() - ReadMessageFrame(frames[i]).payload.size();
      if (is_hole[i] && read > begin + head) {
        ++lost;
      } else {
        expected += frames[i];
      }
    }
    ASSERT_EQ(remains.lost, lost);
    ASSERT_TRUE(remains.frames == expected)
        << remains.frames.size() << " and not " << expected.size();
  }
}

}  // namespace
}  // namespace fifobus
