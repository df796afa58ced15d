#ifndef FIFOBUS_BROKER_CORE_DELIVERY_MESSAGE_UNIT_H_
#define FIFOBUS_BROKER_CORE_DELIVERY_MESSAGE_UNIT_H_

#include <cstdint>
#include <string_view>

#include "proto/frame.h"

namespace fifobus {

// Whether a frame that the broker has checked or made is a Message. Its first
// byte says so: the tag of Frame.message.
inline bool IsMessageFrame(std::string_view frame) {
  constexpr char kMessageTag =
      static_cast<char>(static_cast<uint32_t>(FrameKind::kMessage) << 3 | 2);
  return frame[kFramePrefixBytes] == kMessageTag;
}

// One message as it lies in a subscriber's stream: its frame, or a Delivery
// frame and its frame behind it. It is queued, dropped and written as one.
// Views into the stream's bytes.
struct MessageUnit {
  std::string_view bytes;  // all of it
  std::string_view frame;  // the Message frame, prefix included

  MessageView Read() const { return ReadMessageFrame(frame); }
  std::string_view topic() const { return Read().topic; }
  // Not so, if the unit is a Gap that a group deals to a member.
  bool is_message() const { return IsMessageFrame(frame); }
};

// The unit at the front. REQUIRES: `bytes` hold whole units that the broker has
// checked.
MessageUnit FirstUnit(std::string_view bytes);

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_DELIVERY_MESSAGE_UNIT_H_
