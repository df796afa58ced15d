// What a message says of itself survives the way over NATS and back.

#include <cstdint>
#include <string>
#include <string_view>

#include "clients/cli/bridge/message_headers.h"
#include "clients/cli/bridge/nats_message.h"
#include "proto/frame.h"
#include "proto/topic.h"
#include "tests/fuzz/oracle.h"

namespace fifobus::bridge {
namespace {

using fuzz::Require;

// nats.h: what NATS refuses in a header.
bool IsSafe(std::string_view text) {
  return text.find_first_of("\r\n") == std::string_view::npos;
}

// Where a message is from stays with it.
bool IsOfBridge(std::string_view name) {
  return name == kOriginHeader || name == "Fifobus-Sequence" ||
         name == "Fifobus-Offset" || name == "Fifobus-Stored";
}

void Compare(const MessageView& message) {
  NatsMessage sent;
  sent.headers = HeadersForNats(message, DeliveryView(), "here");
  for (const auto& header : sent.headers) {
    Require(IsSafe(header.name) && IsSafe(header.value) &&
                !header.name.empty() &&
                header.name.find(':') == std::string::npos,
            "NATS takes each header");
  }
  Require(IsFrom(sent, "here") && !IsFrom(sent, "elsewhere"), "its origin");
  sent.payload = message.payload;
  const OwnedMessage back = MessageForBus(sent);
  Require(back.payload == message.payload, "payload");
  Require(back.content_type == message.content_type, "content type");
  Require(back.reply_topic == message.reply_topic, "reply topic");
  Require(back.expiry_unix_nanos == message.expiry_unix_nanos, "expiry");
  // Headers of the bridge itself stand among them.
  size_t i = 0;
  HeaderReader headers(message);
  while (const auto header = headers.Next()) {
    if (IsOfBridge(header->name)) continue;
    while (i < back.headers.size() && IsOfBridge(back.headers[i].name)) ++i;
    Require(i < back.headers.size(), "as many headers");
    Require(back.headers[i].name == header->name, "a header's name");
    Require(back.headers[i].value == header->value, "a header's value");
    ++i;
  }
}

}  // namespace
}  // namespace fifobus::bridge

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fifobus;  // NOLINT
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  const FrameView view = ReadFrame(body);
  if (view.fault != FrameFault::kNone || view.kind != FrameKind::kMessage) {
    return 0;
  }
  const MessageView message = ReadMessage(view.member);
  if (message.fault == FrameFault::kNone &&
      CheckTopic(message.topic) == TopicFault::kNone) {
    bridge::Compare(message);
  }
  return 0;
}
