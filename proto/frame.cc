#include "proto/frame.h"

#include <algorithm>

#include "absl/base/attributes.h"
#include "proto/topic.h"
#include "proto/varint.h"

namespace fifobus {
namespace {

enum WireType : uint32_t { kVarint = 0, kFixed64 = 1, kLen = 2, kFixed32 = 5 };

// Field numbers of Message and Header in frame.proto.
enum MessageField : uint32_t {
  kTopic = 1,
  kSequence = 2,
  kPublishTime = 3,
  kReplyTopic = 4,
  kContentType = 5,
  kExpiry = 6,
  kHeaders = 7,
  kRetain = 8,
  kConfirmId = 9,
  kConfirmLevel = 10,
  kPayload = 15,
};
enum DeliveryField : uint32_t {
  kRetained = 1,
  kAckId = 2,
  kDeliveryCount = 3,
  kOffset = 4,
  kStoredTime = 5,
};
enum HeaderField : uint32_t { kName = 1, kValue = 2 };

struct Field {
  bool ok = false;
  uint32_t number = 0;
  uint32_t wire_type = 0;
  uint64_t value = 0;      // kVarint, kFixed64
  std::string_view bytes;  // kLen
};

uint64_t LoadLittleEndian64(const char* bytes) {
  uint64_t value = 0;
  for (int i = 7; i >= 0; --i) {
    value = value << 8 | static_cast<uint8_t>(bytes[i]);
  }
  return value;
}

bool Skip(std::string_view& bytes, uint64_t count) {
  if (count > bytes.size()) return false;
  bytes.remove_prefix(count);
  return true;
}

// Protobuf refuses a tag of more bytes, even one that is padded with zeros.
constexpr size_t kTagBytesMax = 5;

// Removes one field from the front of `bytes`. Groups (wire types 3 and 4) are
// not part of proto3 and count as malformed. Inlined: the walk is most of what
// the broker does for a small message.
ABSL_ATTRIBUTE_ALWAYS_INLINE inline Field TakeField(std::string_view& bytes) {
  Field field;
  const size_t bytes_before = bytes.size();
  const VarintResult tag = TakeVarint(bytes);
  if (!tag.ok || tag.value > UINT32_MAX || tag.value >> 3 == 0 ||
      bytes_before - bytes.size() > kTagBytesMax) {
    return field;
  }
  field.number = static_cast<uint32_t>(tag.value >> 3);
  field.wire_type = static_cast<uint32_t>(tag.value & 7);
  switch (field.wire_type) {
    case kVarint: {
      const VarintResult value = TakeVarint(bytes);
      field.value = value.value;
      field.ok = value.ok;
      return field;
    }
    case kLen: {
      const VarintResult length = TakeVarint(bytes);
      if (!length.ok || length.value > bytes.size()) return field;
      field.bytes = bytes.substr(0, length.value);
      field.ok = Skip(bytes, length.value);
      return field;
    }
    case kFixed64:
      if (bytes.size() < 8) return field;
      field.value = LoadLittleEndian64(bytes.data());
      field.ok = Skip(bytes, 8);
      return field;
    case kFixed32:
      field.ok = Skip(bytes, 4);
      return field;
    default:
      return field;
  }
}

bool IsPrintableAscii(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return c >= ' ' && c <= '~'; });
}

struct HeaderRead {
  FrameFault fault = FrameFault::kMalformed;
  HeaderView view;
};

// A Header is checked so that what a subscriber's protobuf parser would refuse
// never reaches it.
HeaderRead ReadHeader(std::string_view bytes) {
  HeaderRead header;
  bool bad_text = false;
  while (!bytes.empty()) {
    const Field field = TakeField(bytes);
    if (!field.ok) return header;
    if (field.number != kName && field.number != kValue) continue;
    if (field.wire_type != kLen) return header;
    if (field.number == kValue) {
      header.view.value = field.bytes;
      continue;
    }
    // Each, though only the last one counts.
    bad_text |= !IsPrintableAscii(field.bytes);
    header.view.name = field.bytes;
  }
  header.fault = bad_text ? FrameFault::kBadText : FrameFault::kNone;
  return header;
}

uint32_t ExpectedWireType(uint32_t number) {
  switch (number) {
    case kSequence:
    case kPublishTime:
    case kExpiry:
    case kRetain:
    case kConfirmId:
    case kConfirmLevel:
      return kVarint;
    default:
      return kLen;
  }
}

bool IsKnown(uint32_t number) {
  return (number >= kTopic && number <= kConfirmLevel) || number == kPayload;
}

FrameFault StoreField(const Field& field, MessageView& message) {
  switch (field.number) {
    case kSequence:
      message.sequence = field.value;
      return FrameFault::kNone;
    case kPublishTime:
      message.publish_time_unix_nanos = field.value;
      return FrameFault::kNone;
    case kExpiry:
      message.expiry_unix_nanos = field.value;
      return FrameFault::kNone;
    case kReplyTopic:
      message.reply_topic = field.bytes;
      return CheckTopic(field.bytes) == TopicFault::kNone
                 ? FrameFault::kNone
                 : FrameFault::kBadTopic;
    case kContentType:
      message.content_type = field.bytes;
      return IsPrintableAscii(field.bytes) ? FrameFault::kNone
                                           : FrameFault::kBadText;
    case kHeaders:
      return ReadHeader(field.bytes).fault;
    case kRetain:
      message.retain = field.value != 0;
      return FrameFault::kNone;
    case kConfirmId:
      message.confirm_id = field.value;
      return FrameFault::kNone;
    case kConfirmLevel:
      message.confirm_level = static_cast<uint32_t>(field.value);
      return FrameFault::kNone;
    default:
      message.payload = field.bytes;
      return FrameFault::kNone;
  }
}

bool IsFrameKind(uint32_t number) {
  return number >= static_cast<uint32_t>(FrameKind::kMessage) &&
         number <= static_cast<uint32_t>(FrameKind::kLogReply);
}

}  // namespace

std::string_view FrameFaultText(FrameFault fault) {
  switch (fault) {
    case FrameFault::kNone:
      return "";
    case FrameFault::kTooLarge:
      return "the frame is larger than this bus takes";
    case FrameFault::kMalformed:
      return "the frame is not valid protobuf";
    case FrameFault::kNoMember:
      return "the Frame holds no member";
    case FrameFault::kSeveralMembers:
      return "the Frame holds more than one member";
    case FrameFault::kUnknownMember:
      return "the Frame's member is unknown here";
    case FrameFault::kTopicNotFirst:
      return "the Message does not begin with its topic";
    case FrameFault::kRepeatedField:
      return "a field of the Message occurs twice";
    case FrameFault::kBadTopic:
      return "the topic is invalid";
    case FrameFault::kReservedTopic:
      return "topics under $ are the broker's own";
    case FrameFault::kBadText:
      return "a content type or header name is not printable ASCII";
  }
  return "the frame is invalid";
}

FrameView ReadFrame(std::string_view body) {
  FrameView frame;
  if (body.empty()) {
    frame.fault = FrameFault::kNoMember;
    return frame;
  }
  const Field member = TakeField(body);
  if (!member.ok) return frame;
  if (!IsFrameKind(member.number)) {
    frame.fault = FrameFault::kUnknownMember;
  } else if (member.wire_type != kLen) {
    frame.fault = FrameFault::kMalformed;
  } else if (!body.empty()) {
    frame.fault = FrameFault::kSeveralMembers;
  } else {
    frame.fault = FrameFault::kNone;
    frame.kind = static_cast<FrameKind>(member.number);
    frame.member = member.bytes;
  }
  return frame;
}

MessageView ReadMessage(std::string_view member) {
  MessageView message;
  Field field;
  if (!member.empty()) field = TakeField(member);
  if (!field.ok || field.number != kTopic || field.wire_type != kLen) {
    message.fault = FrameFault::kTopicNotFirst;
    return message;
  }
  message.topic = field.bytes;
  uint32_t seen = 1u << kTopic;
  while (!member.empty()) {
    const std::string_view rest = member;
    field = TakeField(member);
    if (!field.ok) return message;
    if (!IsKnown(field.number)) continue;
    if (field.wire_type != ExpectedWireType(field.number)) return message;
    const uint32_t bit = 1u << field.number;
    if (field.number == kHeaders) {
      if ((seen & bit) == 0) message.headers = rest;
    } else if ((seen & bit) != 0) {
      message.fault = FrameFault::kRepeatedField;
      return message;
    }
    seen |= bit;
    const FrameFault fault = StoreField(field, message);
    if (fault != FrameFault::kNone) {
      message.fault = fault;
      return message;
    }
  }
  message.fault = FrameFault::kNone;
  return message;
}

DeliveryView ReadDelivery(std::string_view member) {
  DeliveryView delivery;
  while (!member.empty()) {
    const Field field = TakeField(member);
    if (!field.ok) return delivery;
    if (field.number < kRetained || field.number > kStoredTime) continue;
    const bool fixed = field.number >= kOffset;
    if (field.wire_type != (fixed ? kFixed64 : kVarint)) return delivery;
    switch (field.number) {
      case kRetained:
        delivery.retained = field.value != 0;
        break;
      case kAckId:
        delivery.ack_id = field.value;
        break;
      case kDeliveryCount:
        delivery.delivery_count = static_cast<uint32_t>(field.value);
        break;
      case kOffset:
        delivery.offset = field.value;
        break;
      default:
        delivery.stored_time_unix_nanos = field.value;
    }
  }
  delivery.fault = FrameFault::kNone;
  return delivery;
}

std::optional<HeaderView> HeaderReader::Next() {
  while (!rest_.empty()) {
    const Field field = TakeField(rest_);
    if (!field.ok) break;
    if (field.number != kHeaders) continue;
    const HeaderRead header = ReadHeader(field.bytes);
    if (header.fault != FrameFault::kNone) break;
    return header.view;
  }
  return std::nullopt;
}

}  // namespace fifobus
