#include "proto/frame_writer.h"

#include <cstring>

#include "proto/frame.pb.h"
#include "proto/varint.h"

namespace fifobus {
namespace {

constexpr uint32_t kVarint = 0;
constexpr uint32_t kFixed64 = 1;
constexpr uint32_t kLen = 2;

constexpr char Tag(uint32_t number, uint32_t wire_type) {
  return static_cast<char>(number << 3 | wire_type);
}

constexpr char kMemberTag = Tag(1, kLen);
constexpr char kTopicTag = Tag(1, kLen);
constexpr char kSequenceTag = Tag(2, kVarint);
constexpr char kPublishTimeTag = Tag(3, kVarint);
constexpr char kReplyTopicTag = Tag(4, kLen);
constexpr char kContentTypeTag = Tag(5, kLen);
constexpr char kExpiryTag = Tag(6, kVarint);
constexpr char kHeadersTag = Tag(7, kLen);
constexpr char kRetainTag = Tag(8, kVarint);
constexpr char kConfirmIdTag = Tag(9, kVarint);
constexpr char kConfirmLevelTag = Tag(10, kVarint);
constexpr char kPayloadTag = Tag(15, kLen);
constexpr char kDeliveryTag = Tag(9, kLen);
constexpr char kRetainedTag = Tag(1, kVarint);
constexpr char kAckIdTag = Tag(2, kVarint);
constexpr char kDeliveryCountTag = Tag(3, kVarint);
constexpr char kOffsetTag = Tag(4, kFixed64);
constexpr char kStoredTimeTag = Tag(5, kFixed64);
constexpr char kAckTag = Tag(11, kLen);
constexpr char kAckIdsTag = Tag(1, kLen);  // packed
constexpr char kVerdictTag = Tag(2, kVarint);
constexpr char kSubscriptionTag = Tag(3, kVarint);
constexpr char kUpToOffsetTag = Tag(4, kVarint);
constexpr char kHeaderNameTag = Tag(1, kLen);
constexpr char kHeaderValueTag = Tag(2, kLen);

size_t TextBytes(std::string_view text) {
  return 1 + VarintBytes(text.size()) + text.size();
}

size_t NumberBytes(uint64_t value) {
  return value == 0 ? 0 : 1 + VarintBytes(value);
}

size_t OptionalTextBytes(std::string_view text) {
  return text.empty() ? 0 : TextBytes(text);
}

size_t HeaderBytes(const HeaderView& header) {
  return TextBytes(header.name) + TextBytes(header.value);
}

size_t MessageBytes(const MessageFields& fields) {
  size_t bytes = TextBytes(fields.topic) + NumberBytes(fields.sequence) +
                 NumberBytes(fields.publish_time_unix_nanos) +
                 OptionalTextBytes(fields.reply_topic) +
                 OptionalTextBytes(fields.content_type) +
                 NumberBytes(fields.expiry_unix_nanos) +
                 NumberBytes(fields.retain ? 1 : 0) +
                 NumberBytes(fields.confirm_id) +
                 NumberBytes(fields.confirm_level) + TextBytes(fields.payload);
  for (const HeaderView& header : fields.headers) {
    const size_t header_bytes = HeaderBytes(header);
    bytes += 1 + VarintBytes(header_bytes) + header_bytes;
  }
  return bytes;
}

char* PutPrefix(char* out, size_t body_bytes) {
  *out++ = static_cast<char>(body_bytes >> 24);
  *out++ = static_cast<char>(body_bytes >> 16);
  *out++ = static_cast<char>(body_bytes >> 8);
  *out++ = static_cast<char>(body_bytes);
  return out;
}

char* PutBytes(char* out, std::string_view bytes) {
  if (!bytes.empty()) std::memcpy(out, bytes.data(), bytes.size());
  return out + bytes.size();  // memcpy takes no null pointer, hence the if
}

char* PutText(char* out, char tag, std::string_view text) {
  *out++ = tag;
  return PutBytes(PutVarint(out, text.size()), text);
}

char* PutOptionalText(char* out, char tag, std::string_view text) {
  return text.empty() ? out : PutText(out, tag, text);
}

char* PutNumber(char* out, char tag, uint64_t value) {
  if (value == 0) return out;
  *out++ = tag;
  return PutVarint(out, value);
}

size_t Fixed64Bytes(uint64_t value) { return value == 0 ? 0 : 1 + 8; }

char* PutFixed64(char* out, char tag, uint64_t value) {
  *out++ = tag;
  for (int i = 0; i < 8; ++i) *out++ = static_cast<char>(value >> (8 * i));
  return out;
}

// Everything up to the payload's bytes. `message_bytes` is MessageBytes().
char* PutHead(char* out, const MessageFields& fields, size_t message_bytes) {
  out = PutPrefix(out, 1 + VarintBytes(message_bytes) + message_bytes);
  *out++ = kMemberTag;
  out = PutVarint(out, message_bytes);
  out = PutText(out, kTopicTag, fields.topic);
  out = PutNumber(out, kSequenceTag, fields.sequence);
  out = PutNumber(out, kPublishTimeTag, fields.publish_time_unix_nanos);
  out = PutOptionalText(out, kReplyTopicTag, fields.reply_topic);
  out = PutOptionalText(out, kContentTypeTag, fields.content_type);
  out = PutNumber(out, kExpiryTag, fields.expiry_unix_nanos);
  for (const HeaderView& header : fields.headers) {
    *out++ = kHeadersTag;
    out = PutVarint(out, HeaderBytes(header));
    out = PutText(out, kHeaderNameTag, header.name);
    out = PutText(out, kHeaderValueTag, header.value);
  }
  out = PutNumber(out, kRetainTag, fields.retain ? 1 : 0);
  out = PutNumber(out, kConfirmIdTag, fields.confirm_id);
  out = PutNumber(out, kConfirmLevelTag, fields.confirm_level);
  *out++ = kPayloadTag;
  return PutVarint(out, fields.payload.size());
}

// A std::string with `bytes` more at its end, to be written by the caller.
char* Extend(std::string& out, size_t bytes) {
  const size_t size = out.size();
  out.resize(size + bytes);
  return out.data() + size;
}

}  // namespace

size_t MessageBodyBytes(const MessageFields& fields) {
  const size_t message_bytes = MessageBytes(fields);
  return 1 + VarintBytes(message_bytes) + message_bytes;
}

void AppendMessageHead(const MessageFields& fields, std::string& out) {
  const size_t message_bytes = MessageBytes(fields);
  const size_t head_bytes = kFramePrefixBytes + 1 + VarintBytes(message_bytes) +
                            message_bytes - fields.payload.size();
  PutHead(Extend(out, head_bytes), fields, message_bytes);
}

void AppendMessageFrame(const MessageFields& fields, std::string& out) {
  WriteMessageFrame(fields,
                    Extend(out, kFramePrefixBytes + MessageBodyBytes(fields)));
}

void WriteMessageFrame(const MessageFields& fields, char* out) {
  PutBytes(PutHead(out, fields, MessageBytes(fields)), fields.payload);
}

void AppendDeliveryFrame(const DeliveryView& delivery, std::string& out) {
  const uint64_t retained = delivery.retained ? 1 : 0;
  const size_t member_bytes =
      NumberBytes(retained) + NumberBytes(delivery.ack_id) +
      NumberBytes(delivery.delivery_count) + Fixed64Bytes(delivery.offset) +
      Fixed64Bytes(delivery.stored_time_unix_nanos);
  const size_t body_bytes = 1 + VarintBytes(member_bytes) + member_bytes;
  char* at = PutPrefix(Extend(out, kFramePrefixBytes + body_bytes), body_bytes);
  *at++ = kDeliveryTag;
  at = PutVarint(at, member_bytes);
  at = PutNumber(at, kRetainedTag, retained);
  at = PutNumber(at, kAckIdTag, delivery.ack_id);
  at = PutNumber(at, kDeliveryCountTag, delivery.delivery_count);
  if (delivery.offset != 0) at = PutFixed64(at, kOffsetTag, delivery.offset);
  if (delivery.stored_time_unix_nanos != 0) {
    PutFixed64(at, kStoredTimeTag, delivery.stored_time_unix_nanos);
  }
}

void WriteStoredDelivery(uint64_t offset, uint64_t stored_time_unix_nanos,
                         char* out) {
  constexpr size_t kMemberBytes = 2 * (1 + 8);
  static_assert(kStoredDeliveryBytes == kFramePrefixBytes + 2 + kMemberBytes);
  out = PutPrefix(out, 2 + kMemberBytes);
  *out++ = kDeliveryTag;
  *out++ = static_cast<char>(kMemberBytes);
  out = PutFixed64(out, kOffsetTag, offset);
  PutFixed64(out, kStoredTimeTag, stored_time_unix_nanos);
}

void AppendPositionAckFrame(uint64_t subscription, uint64_t up_to_offset,
                            std::string& out) {
  const size_t member_bytes =
      NumberBytes(subscription) + NumberBytes(up_to_offset);
  const size_t body_bytes = 2 + member_bytes;
  char* at = PutPrefix(Extend(out, kFramePrefixBytes + body_bytes), body_bytes);
  *at++ = kAckTag;
  at = PutVarint(at, member_bytes);
  at = PutNumber(at, kSubscriptionTag, subscription);
  PutNumber(at, kUpToOffsetTag, up_to_offset);
}

void AppendAckFrame(uint64_t ack_id, AckVerdict verdict, std::string& out) {
  const auto number = static_cast<uint64_t>(verdict);
  const size_t id_bytes = VarintBytes(ack_id);
  const size_t member_bytes = 2 + id_bytes + NumberBytes(number);
  const size_t body_bytes = 2 + member_bytes;
  char* at = PutPrefix(Extend(out, kFramePrefixBytes + body_bytes), body_bytes);
  *at++ = kAckTag;
  at = PutVarint(at, member_bytes);
  *at++ = kAckIdsTag;
  at = PutVarint(at, id_bytes);
  at = PutVarint(at, ack_id);
  PutNumber(at, kVerdictTag, number);
}

void AppendFrame(const pb::Frame& frame, std::string& out) {
  const size_t body_bytes = frame.ByteSizeLong();
  char* at = PutPrefix(Extend(out, kFramePrefixBytes + body_bytes), body_bytes);
  frame.SerializeWithCachedSizesToArray(reinterpret_cast<uint8_t*>(at));
}

}  // namespace fifobus
