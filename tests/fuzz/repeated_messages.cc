// What is recognised as a repetition of the message before is one: reading the
// frame by itself finds the same topic and payload, and no fault.

#include <cstdint>
#include <string>
#include <string_view>

#include "proto/frame.h"
#include "proto/repeated_message.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/oracle.h"

namespace fifobus::fuzz {
namespace {

// The second frame is the first one with some bytes changed.
std::string Changed(std::string frame, Input& input) {
  while (!input.empty() && !frame.empty()) {
    frame[input.Number(frame.size() - 1)] ^= static_cast<char>(input.Byte());
  }
  return frame;
}

void Compare(std::string_view first, const std::string& second) {
  const MessageView message = ReadMessageFrame(first);
  if (message.fault != FrameFault::kNone) return;
  RepeatedMessage repeated;
  repeated.Remember(first, message);
  if (!repeated.IsFrontOf(second)) return;
  const FrameExtent extent = FindFrame(second, second.size());
  Require(extent.state == FrameExtent::State::kWhole &&
              extent.frame_bytes == repeated.frame_bytes(),
          "a repetition is a whole frame of the same size");
  const std::string_view frame =
      std::string_view(second).substr(0, extent.frame_bytes);
  const MessageView read = ReadMessageFrame(frame);
  Require(read.fault == FrameFault::kNone, "a repetition has no fault");
  Require(read.topic == repeated.Topic(frame), "its topic");
  Require(read.payload == repeated.Payload(frame), "its payload");
  Require(read.sequence == 0 && read.confirm_id == 0 && !read.retain &&
              read.headers.empty(),
          "it has nothing else");
}

}  // namespace
}  // namespace fifobus::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fifobus;  // NOLINT
  fuzz::Input input(data, size);
  std::string frame(input.Text());
  const std::string prefix = {0, 0, 0, static_cast<char>(frame.size())};
  frame.insert(0, prefix);
  fuzz::Compare(frame, fuzz::Changed(frame, input));
  return 0;
}
