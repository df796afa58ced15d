// A JSON message that is read and can be published is printed and read again as
// the same message.

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "clients/cli/pub/json_message.h"
#include "nlohmann/json.hpp"
#include "proto/frame_writer.h"
#include "proto/message_text.h"
#include "proto/topic.h"
#include "tests/fuzz/oracle.h"

namespace fifobus::fuzz {
namespace {

std::string FrameOf(const OwnedMessage& message) {
  std::vector<HeaderView> headers;
  for (const auto& header : message.headers) {
    headers.push_back({header.name, header.value});
  }
  MessageFields fields;
  fields.topic = message.topic;
  fields.payload = message.payload;
  fields.reply_topic = message.reply_topic;
  fields.content_type = message.content_type;
  fields.expiry_unix_nanos = message.expiry_unix_nanos;
  fields.headers = headers;
  std::string frame;
  AppendMessageFrame(fields, frame);
  return frame;
}

// Headers of one name are a list, so that only their order within a name stays.
using Headers = std::vector<std::pair<std::string, std::string>>;
Headers Sorted(const OwnedMessage& message) {
  Headers headers;
  for (const auto& header : message.headers) {
    headers.emplace_back(header.name, header.value);
  }
  std::stable_sort(
      headers.begin(), headers.end(),
      [](const auto& a, const auto& b) { return a.first < b.first; });
  return headers;
}

void Compare(const OwnedMessage& message) {
  const std::string frame = FrameOf(message);
  const MessageView view = ReadMessageFrame(frame);
  if (view.fault != FrameFault::kNone) return;
  std::string line;
  AppendJsonLine(view, DeliveryView(), line);
  Require(line.find('\n') == line.size() - 1, "a message is one line");
  Require(nlohmann::json::accept(line), "the line is JSON");
  const auto again = cli::ParseJsonMessage(line);
  Require(again.ok(), "the line is read");
  Require(again->topic == message.topic, "topic");
  Require(again->payload == message.payload, "payload");
  Require(again->reply_topic == message.reply_topic, "reply topic");
  Require(again->content_type == message.content_type, "content type");
  Require(again->expiry_unix_nanos == message.expiry_unix_nanos, "expiry");
  Require(Sorted(*again) == Sorted(message), "headers");
}

}  // namespace
}  // namespace fifobus::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fifobus;        // NOLINT
  using namespace fifobus::fuzz;  // NOLINT
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto message = cli::ParseJsonMessage(text);
  if (!message.ok()) {
    Require(!message.status().message().empty(), "an error says something");
    return 0;
  }
  if (CheckTopic(message->topic) == TopicFault::kNone) Compare(*message);
  return 0;
}
