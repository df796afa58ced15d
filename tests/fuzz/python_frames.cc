// The Python client finds in a frame what the C++ one finds in it, or refuses it
// for the same reason.

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "fmt/format.h"
#include "proto/frame.h"
#include "proto/frame.pb.h"
#include "proto/topic.h"
#include "tests/fuzz/oracle.h"

namespace fifobus::fuzz {
namespace {

// The Python client, asked frame by frame.
class Python {
 public:
  Python() {
    int questions[2];
    int answers[2];
    Require(pipe(questions) == 0 && pipe(answers) == 0, "pipes are made");
    if (fork() == 0) {
      dup2(questions[0], STDIN_FILENO);
      dup2(answers[1], STDOUT_FILENO);
      for (const int fd :
           {questions[0], questions[1], answers[0], answers[1]}) {
        close(fd);
      }
      setenv("PYTHONPATH", "clients/python", 1);
      execlp("/usr/bin/python3", "python3", "tests/fuzz/python_frames.py",
             nullptr);
      _exit(127);
    }
    close(questions[0]);
    close(answers[1]);
    questions_ = fdopen(questions[1], "w");
    answers_ = fdopen(answers[0], "r");
  }

  std::string Describe(std::string_view body) {
    const auto size = static_cast<uint32_t>(body.size());
    for (const int shift : {24, 16, 8, 0}) {
      fputc(static_cast<int>(size >> shift & 255), questions_);
    }
    fwrite(body.data(), 1, body.size(), questions_);
    fflush(questions_);
    std::string line;
    for (int c; (c = fgetc(answers_)) != '\n';) {
      Require(c != EOF, "the Python client goes on");
      line += static_cast<char>(c);
    }
    return line;
  }

 private:
  FILE* questions_;
  FILE* answers_;
};

std::string FaultName(FrameFault fault) {
  switch (fault) {
    case FrameFault::kNoMember:
      return "no_member";
    case FrameFault::kSeveralMembers:
      return "several_members";
    case FrameFault::kUnknownMember:
      return "unknown_member";
    case FrameFault::kTopicNotFirst:
      return "topic_not_first";
    case FrameFault::kRepeatedField:
      return "repeated_field";
    case FrameFault::kBadTopic:
    case FrameFault::kReservedTopic:
      return "bad_topic";
    case FrameFault::kBadText:
      return "bad_text";
    default:
      return "malformed";
  }
}

std::string Describe(const MessageView& message) {
  std::string text = fmt::format("1 {} {} {} {} {} {}", message.sequence,
                                 message.publish_time_unix_nanos,
                                 message.expiry_unix_nanos, int{message.retain},
                                 message.confirm_id, message.confirm_level);
  const auto append = [&text](std::string_view bytes) {
    text += ' ';
    for (const char c : bytes) {
      text += fmt::format("{:02x}", static_cast<uint8_t>(c));
    }
    text += '.';
  };
  for (const std::string_view each : {message.topic, message.reply_topic,
                                      message.content_type, message.payload}) {
    append(each);
  }
  HeaderReader headers(message);
  while (const auto header = headers.Next()) {
    append(header->name);
    append(header->value);
  }
  return text;
}

// What C++ finds; "control" of a frame whose member protobuf reads.
std::string Describe(std::string_view body) {
  const FrameView view = ReadFrame(body);
  if (view.fault != FrameFault::kNone) return FaultName(view.fault);
  if (view.kind != FrameKind::kMessage) {
    pb::Frame frame;
    return frame.ParseFromArray(body.data(), static_cast<int>(body.size()))
               ? fmt::format("{}", static_cast<uint32_t>(view.kind))
               : "malformed";
  }
  const MessageView message = ReadMessage(view.member);
  if (message.fault != FrameFault::kNone) return FaultName(message.fault);
  if (CheckTopic(message.topic) != TopicFault::kNone) return "bad_topic";
  return Describe(message);
}

bool IsValid(const std::string& described) {
  return described[0] >= '0' && described[0] <= '9';
}

}  // namespace
}  // namespace fifobus::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fifobus;        // NOLINT
  using namespace fifobus::fuzz;  // NOLINT
  static auto& python = *new Python;
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  const std::string theirs = python.Describe(body);
  const std::string ours = Describe(body);
  if (theirs == ours || (!IsValid(ours) && !IsValid(theirs))) return 0;
  // No client reads a Hello, and Python does not look into its will. Protobuf
  // passes over a known field of a wrong wire type in a control frame,
  // and Python refuses it.
  const bool is_hello = theirs == "2" || ours == "2";
  const bool is_stricter = is_hello || (theirs == "malformed" &&
                                        ours.find(' ') == std::string::npos);
  if (!is_stricter) {
    fprintf(stderr, "C++:    %s\nPython: %s\n", ours.c_str(), theirs.c_str());
    Require(false, "both clients find the same");
  }
  return 0;
}
