#ifndef FIFOBUS_PROTO_FRAME_H_
#define FIFOBUS_PROTO_FRAME_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

// Reading frames in place: where a frame ends, what it holds, what is wrong
// with it. Nothing here allocates or copies; every view points into the bytes
// that were passed in and lives as long as they do. Thread-safe (no state).
//
// A frame on the wire is a 4-byte big-endian length and that many bytes of one
// protobuf Frame (frame.proto). FRAMING.md is the specification; the rules
// checked here are its section "What a broker refuses".
namespace fifobus {

inline constexpr size_t kFramePrefixBytes = 4;

// The most bytes after the prefix, unless a bus sets another limit.
inline constexpr size_t kFrameBytesMaxDefault = size_t{16} << 20;

// The member of a Frame; the values are the field numbers of frame.proto.
enum class FrameKind : uint32_t {
  kMessage = 1,
  kHello = 2,
  kWelcome = 3,
  kSubscribe = 4,
  kSubscribed = 5,
  kUnsubscribe = 6,
  kUnsubscribed = 7,
  kGap = 8,
  kDelivery = 9,
  kConfirm = 10,
  kAck = 11,
  kPing = 12,
  kPong = 13,
  kStats = 14,
  kStatsReply = 15,
  kError = 16,
  kGoodbye = 17,
  kCaughtUp = 18,
  kLogRequest = 19,
  kLogReply = 20,
};

// Why a frame was refused.
enum class FrameFault {
  kNone,
  kTooLarge,        // the length prefix is above the limit
  kMalformed,       // not the protobuf wire format, or a wrong wire type
  kNoMember,        // the Frame is empty
  kSeveralMembers,  // the Frame holds a second field
  kUnknownMember,   // the Frame's field is none of FrameKind
  kTopicNotFirst,   // the Message does not begin with its topic
  kRepeatedField,   // a singular field of the Message occurs twice
  kBadTopic,        // the topic or reply topic is no valid topic
  kReservedTopic,   // the topic begins with '$'
  kBadText,         // a content type or header name is not printable ASCII
};

// One clause for people, "the Frame holds more than one member".
std::string_view FrameFaultText(FrameFault fault);

// Where the frame at the front of some bytes ends.
struct FrameExtent {
  enum class State { kWhole, kPartial, kTooLarge };
  State state = State::kPartial;
  // The whole frame with its prefix. While the prefix itself is incomplete:
  // kFramePrefixBytes.
  size_t frame_bytes = kFramePrefixBytes;
};

// `frame_bytes_max` bounds the bytes after the prefix.
[[nodiscard]] inline FrameExtent FindFrame(std::string_view bytes,
                                           size_t frame_bytes_max) {
  if (bytes.size() < kFramePrefixBytes) return {};
  const auto byte = [&](int i) { return static_cast<uint8_t>(bytes[i]); };
  const size_t body_bytes = (size_t{byte(0)} << 24) | (size_t{byte(1)} << 16) |
                            (size_t{byte(2)} << 8) | byte(3);
  const size_t frame_bytes = kFramePrefixBytes + body_bytes;
  if (body_bytes > frame_bytes_max) {
    return {FrameExtent::State::kTooLarge, frame_bytes};
  }
  return {bytes.size() < frame_bytes ? FrameExtent::State::kPartial
                                     : FrameExtent::State::kWhole,
          frame_bytes};
}

// The only member of a Frame.
struct FrameView {
  FrameFault fault = FrameFault::kMalformed;
  FrameKind kind{};         // only if fault is kNone
  std::string_view member;  // its bytes, without tag and length
};

// Reads what is behind the prefix.
[[nodiscard]] FrameView ReadFrame(std::string_view body);
// Reads a whole frame, prefix included. REQUIRES: `frame` has a whole prefix.
[[nodiscard]] inline FrameView ReadWholeFrame(std::string_view frame) {
  return ReadFrame(frame.substr(kFramePrefixBytes));
}

// What a Message holds. Fields that are absent are empty or 0.
struct MessageView {
  // Not defaulted: g++ would clear the whole with `rep stos`, which costs as
  // much as reading a small message.
  MessageView() {}  // NOLINT(modernize-use-equals-default)

  FrameFault fault = FrameFault::kMalformed;
  std::string_view topic;
  uint64_t sequence = 0;
  uint64_t publish_time_unix_nanos = 0;
  std::string_view reply_topic;
  std::string_view content_type;
  uint64_t expiry_unix_nanos = 0;
  // The bytes of the Message from its first header on; empty if it has none.
  // HeaderReader walks them.
  std::string_view headers;
  bool retain = false;
  uint64_t confirm_id = 0;
  uint32_t confirm_level = 0;  // pb::Confirm::Level; 0: accepted
  std::string_view payload;
};

// Walks a Message's tags, jumping over the payload. Checks everything that
// FRAMING.md lists except the topic's own characters: the broker checks those
// once per topic and not once per message (CheckTopic).
[[nodiscard]] MessageView ReadMessage(std::string_view member);
// The same for a whole frame, prefix included, that is known to hold a Message.
// A frame that cannot be read has the fault kTopicNotFirst.
[[nodiscard]] inline MessageView ReadMessageFrame(std::string_view frame) {
  return ReadMessage(ReadWholeFrame(frame).member);
}

// What a Delivery says about the message behind it.
struct DeliveryView {
  FrameFault fault = FrameFault::kMalformed;
  bool retained = false;
  uint64_t ack_id = 0;          // 0: not to be acknowledged
  uint32_t delivery_count = 0;  // 0: not counted; above 1: delivered before
  uint64_t offset = 0;          // in its log; 0: not read out of one
  uint64_t stored_time_unix_nanos = 0;
};

// Unknown fields are passed over.
[[nodiscard]] DeliveryView ReadDelivery(std::string_view member);

struct HeaderView {
  std::string_view name;
  std::string_view value;
};

// Yields the headers of a checked Message in their order. Thread-compatible.
//   HeaderReader headers(message);
//   while (std::optional<HeaderView> header = headers.Next()) ...
//
// Thread-compatible.
class HeaderReader {
 public:
  explicit HeaderReader(const MessageView& message) : rest_(message.headers) {}

  // Nothing after the last one.
  std::optional<HeaderView> Next();

 private:
  std::string_view rest_;
};

}  // namespace fifobus

#endif  // FIFOBUS_PROTO_FRAME_H_
