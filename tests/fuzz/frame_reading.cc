// A frame read in place says what protobuf finds in it, and written anew it
// reads the same.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "proto/frame.h"
#include "proto/frame.pb.h"
#include "proto/frame_writer.h"
#include "proto/topic.h"
#include "tests/fuzz/oracle.h"

namespace fifobus::fuzz {
namespace {

template <typename Parsed>
bool Parse(std::string_view bytes, Parsed& parsed) {
  return parsed.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
}

std::vector<HeaderView> HeadersOf(const MessageView& message) {
  std::vector<HeaderView> headers;
  HeaderReader reader(message);
  while (const auto header = reader.Next()) headers.push_back(*header);
  return headers;
}

void CompareWithProtobuf(const MessageView& message, std::string_view member) {
  pb::Message parsed;
  Require(Parse(member, parsed), "protobuf reads a Message that is accepted");
  Require(parsed.topic() == message.topic, "topic");
  Require(parsed.sequence() == message.sequence, "sequence");
  Require(parsed.publish_time_unix_nanos() == message.publish_time_unix_nanos,
          "publish time");
  Require(parsed.reply_topic() == message.reply_topic, "reply topic");
  Require(parsed.content_type() == message.content_type, "content type");
  Require(parsed.expiry_unix_nanos() == message.expiry_unix_nanos, "expiry");
  Require(parsed.retain() == message.retain, "retain");
  Require(parsed.confirm_id() == message.confirm_id, "confirm id");
  Require(
      static_cast<uint32_t>(parsed.confirm_level()) == message.confirm_level,
      "confirm level");
  Require(parsed.payload() == message.payload, "payload");
  const auto headers = HeadersOf(message);
  Require(static_cast<size_t>(parsed.headers_size()) == headers.size(),
          "the number of headers");
  for (size_t i = 0; i < headers.size(); ++i) {
    const auto& header = parsed.headers(static_cast<int>(i));
    Require(header.name() == headers[i].name, "a header's name");
    Require(header.value() == headers[i].value, "a header's value");
  }
}

void WriteAnew(const MessageView& message) {
  const auto headers = HeadersOf(message);
  MessageFields fields;
  fields.topic = message.topic;
  fields.payload = message.payload;
  fields.sequence = message.sequence;
  fields.publish_time_unix_nanos = message.publish_time_unix_nanos;
  fields.reply_topic = message.reply_topic;
  fields.content_type = message.content_type;
  fields.expiry_unix_nanos = message.expiry_unix_nanos;
  fields.headers = headers;
  fields.retain = message.retain;
  fields.confirm_id = message.confirm_id;
  fields.confirm_level = message.confirm_level;
  std::string frame;
  AppendMessageFrame(fields, frame);
  Require(frame.size() == kFramePrefixBytes + MessageBodyBytes(fields),
          "MessageBodyBytes is the size");
  const FrameExtent extent = FindFrame(frame, frame.size());
  Require(extent.state == FrameExtent::State::kWhole &&
              extent.frame_bytes == frame.size(),
          "what is written is one frame");
  const FrameView view = ReadWholeFrame(frame);
  Require(view.fault == FrameFault::kNone && view.kind == FrameKind::kMessage,
          "what is written is a Message");
  const MessageView again = ReadMessage(view.member);
  Require(again.fault == FrameFault::kNone, "what is written is accepted");
  Require(again.topic == message.topic, "the topic again");
  CompareWithProtobuf(again, view.member);
}

void OnMessage(std::string_view member) {
  const MessageView message = ReadMessage(member);
  if (message.fault != FrameFault::kNone) return;
  if (CheckTopic(message.topic) != TopicFault::kNone) return;
  CompareWithProtobuf(message, member);
  WriteAnew(message);
}

void OnDelivery(std::string_view member) {
  const DeliveryView delivery = ReadDelivery(member);
  if (delivery.fault != FrameFault::kNone) return;
  pb::Delivery parsed;
  Require(Parse(member, parsed), "protobuf reads a Delivery");
  Require(parsed.retained() == delivery.retained, "retained");
  Require(parsed.ack_id() == delivery.ack_id, "ack id");
  Require(parsed.delivery_count() == delivery.delivery_count, "count");
  Require(parsed.offset() == delivery.offset, "offset");
  Require(parsed.stored_time_unix_nanos() == delivery.stored_time_unix_nanos,
          "stored time");
}

}  // namespace
}  // namespace fifobus::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fifobus;  // NOLINT
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  const FrameView view = ReadFrame(body);
  if (view.fault != FrameFault::kNone) return 0;
  if (view.kind == FrameKind::kMessage) fuzz::OnMessage(view.member);
  if (view.kind == FrameKind::kDelivery) fuzz::OnDelivery(view.member);
  return 0;
}
