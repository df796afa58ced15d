#ifndef FIFOBUS_PROTO_FRAME_WRITER_H_
#define FIFOBUS_PROTO_FRAME_WRITER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/types/span.h"
#include "proto/frame.h"

// Writing frames, prefix included. Thread-safe (no state).
namespace fifobus {

namespace pb {
class Frame;  // of frame.pb.h, which is slow to compile
}  // namespace pb

// What a Message frame is made of. Empty and 0 fields are left out, but for the
// topic and the payload. Views need to live only during the call.
struct MessageFields {
  std::string_view topic;
  std::string_view payload;
  uint64_t sequence = 0;
  uint64_t publish_time_unix_nanos = 0;
  std::string_view reply_topic;
  std::string_view content_type;
  uint64_t expiry_unix_nanos = 0;
  absl::Span<const HeaderView> headers = {};
  bool retain = false;
  uint64_t confirm_id = 0;
  uint32_t confirm_level = 0;  // pb::Confirm::Level
};

// The bytes that the frame has after its prefix; compare with frame_bytes_max
// before encoding.
size_t MessageBodyBytes(const MessageFields& fields);

// Appends everything before the payload's bytes: prefix, tags, metadata. The
// payload's bytes, written right behind it, complete the frame, so that a large
// payload need not be copied.
void AppendMessageHead(const MessageFields& fields, std::string& out);

// Appends the whole frame.
void AppendMessageFrame(const MessageFields& fields, std::string& out);

// Writes the whole frame at `out`, which must have room for kFramePrefixBytes +
// MessageBodyBytes(fields) bytes.
void WriteMessageFrame(const MessageFields& fields, char* out);

// Appends a Delivery frame with the fields of `delivery` that are not 0. The
// frame of its message must follow directly.
void AppendDeliveryFrame(const DeliveryView& delivery, std::string& out);

// A Delivery frame with an offset and a stored time alone, as it lies in a log
// before each message. It has the same size whatever they are.
inline constexpr size_t kStoredDeliveryBytes = 24;
void WriteStoredDelivery(uint64_t offset, uint64_t stored_time_unix_nanos,
                         char* out);

// How a group's member answers a message: Ack.Verdict of frame.proto.
enum class AckVerdict { kDone = 0, kRetry = 1, kExtend = 2 };

// Appends an Ack frame for one message.
void AppendAckFrame(uint64_t ack_id, AckVerdict verdict, std::string& out);

// Appends an Ack frame of a durable reader that is done up to this offset.
// `subscription` is the request_id of its Subscribe.
void AppendPositionAckFrame(uint64_t subscription, uint64_t up_to_offset,
                            std::string& out);

// Appends a control frame. REQUIRES: exactly one member is set.
void AppendFrame(const pb::Frame& frame, std::string& out);

}  // namespace fifobus

#endif  // FIFOBUS_PROTO_FRAME_WRITER_H_
