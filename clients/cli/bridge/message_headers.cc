#include "clients/cli/bridge/message_headers.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "clients/cli/bridge/percent_text.h"
#include "clients/cli/bridge/text.h"
#include "proto/topic.h"

namespace fifobus::bridge {
namespace {

constexpr std::string_view kContentType = "Content-Type";
constexpr std::string_view kEncodedContentType = "Fifobus-Content-Type";
constexpr std::string_view kReply = "Fifobus-Reply";
constexpr std::string_view kExpiry = "Fifobus-Expiry";
constexpr std::string_view kPublished = "Fifobus-Published";
constexpr std::string_view kEncoded = "Fifobus-H-";

bool IsNameByte(char c) {
  return absl::ascii_isalnum(c) || c == '-' || c == '_' || c == '.';
}

bool IsValueByte(char c) {
  return absl::ascii_isgraph(static_cast<unsigned char>(c)) && c != '%';
}

// NATS's, or one of the bridge's.
bool IsTaken(std::string_view name) {
  return StartsWithIgnoringCase(name, "nats-") ||
         StartsWithIgnoringCase(name, "fifobus-") ||
         EqualsIgnoringCase(name, kContentType) ||
         EqualsIgnoringCase(name, "status") ||
         EqualsIgnoringCase(name, "description");
}

// NATS takes spaces at the ends of a value away.
bool IsPlainValue(std::string_view value) {
  return !value.empty() && value.front() != ' ' && value.back() != ' ' &&
         std::all_of(value.begin(), value.end(), [](char c) {
           return absl::ascii_isprint(static_cast<unsigned char>(c));
         });
}

bool GoesAsItIs(const HeaderView& header) {
  return !header.name.empty() && !IsTaken(header.name) &&
         std::all_of(header.name.begin(), header.name.end(), IsNameByte) &&
         IsPlainValue(header.value);
}

void AddNumber(std::string_view name, uint64_t number,
               std::vector<NatsMessage::Header>& headers) {
  if (number != 0) headers.push_back({std::string(name), Concat(number)});
}

// A value that is no number is as none.
uint64_t NumberIn(std::string_view value) {
  return ReadNumber(value).value_or(0);
}

// Takes what has a field of its own.
enum class Took { kField, kNothing };
[[nodiscard]] Took TakeField(const NatsMessage::Header& header,
                             OwnedMessage& message) {
  if (EqualsIgnoringCase(header.name, kContentType)) {
    message.content_type = header.value;
  } else if (header.name == kEncodedContentType) {
    message.content_type = PercentDecode(header.value);
  } else if (header.name == kReply) {
    // One of replies is somebody's on another bus.
    if (CheckTopicToPublish(header.value) == TopicFault::kNone &&
        !IsReplyTopic(header.value)) {
      message.reply_topic = header.value;
    }
  } else if (header.name == kExpiry) {
    message.expiry_unix_nanos = NumberIn(header.value);
  } else if (header.name == kPublished) {
    message.publish_time_unix_nanos = NumberIn(header.value);
  } else {
    return Took::kNothing;
  }
  return Took::kField;
}

}  // namespace

bool CameOverBridge(const MessageView& message) {
  HeaderReader headers(message);
  while (const std::optional<HeaderView> header = headers.Next()) {
    if (header->name == kOriginHeader) return true;
  }
  return false;
}

std::vector<NatsMessage::Header> HeadersForNats(const MessageView& message,
                                                const DeliveryView& delivery,
                                                std::string_view origin) {
  std::vector<NatsMessage::Header> headers;
  headers.push_back({std::string(kNatsOriginHeader), std::string(origin)});
  if (!message.content_type.empty()) {
    const bool as_it_is = IsPlainValue(message.content_type);
    headers.push_back(
        {std::string(as_it_is ? kContentType : kEncodedContentType),
         as_it_is ? std::string(message.content_type)
                  : PercentEncode(message.content_type, IsValueByte)});
  }
  if (!message.reply_topic.empty()) {
    headers.push_back({std::string(kReply), std::string(message.reply_topic)});
  }
  AddNumber(kExpiry, message.expiry_unix_nanos, headers);
  AddNumber(kPublished, message.publish_time_unix_nanos, headers);
  AddNumber("Fifobus-Sequence", message.sequence, headers);
  AddNumber("Fifobus-Offset", delivery.offset, headers);
  AddNumber("Fifobus-Stored", delivery.stored_time_unix_nanos, headers);
  HeaderReader reader(message);
  while (const std::optional<HeaderView> header = reader.Next()) {
    if (GoesAsItIs(*header)) {
      headers.push_back(
          {std::string(header->name), std::string(header->value)});
    } else {
      // With a sign in front, because NATS has no empty values.
      headers.push_back(
          {Concat(kEncoded, PercentEncode(header->name, IsNameByte)),
           Concat("=", PercentEncode(header->value, IsValueByte))});
    }
  }
  return headers;
}

bool IsFrom(const NatsMessage& message, std::string_view origin) {
  return message.header(kNatsOriginHeader) == origin;
}

OwnedMessage MessageForBus(const NatsMessage& from) {
  OwnedMessage message;
  message.payload = from.payload;
  message.headers.push_back(
      {std::string(kOriginHeader),
       std::string(from.header(kNatsOriginHeader).value_or(kOriginNats))});
  for (const NatsMessage::Header& header : from.headers) {
    if (TakeField(header, message) == Took::kField) continue;
    if (header.name.starts_with(kEncoded)) {
      std::string_view value = header.value;
      if (!value.empty() && value.front() == '=') value.remove_prefix(1);
      message.headers.push_back(
          {PercentDecode(std::string_view(header.name).substr(kEncoded.size())),
           PercentDecode(value)});
      continue;
    }
    if (header.name == kNatsOriginHeader ||
        StartsWithIgnoringCase(header.name, "nats-")) {
      continue;
    }
    message.headers.push_back({header.name, header.value});
  }
  return message;
}

}  // namespace fifobus::bridge
