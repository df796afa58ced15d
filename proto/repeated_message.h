#ifndef FIFOBUS_PROTO_REPEATED_MESSAGE_H_
#define FIFOBUS_PROTO_REPEATED_MESSAGE_H_

#include <cstddef>
#include <cstring>
#include <string_view>

#include "proto/frame.h"

namespace fifobus {

// Recognises frames of a chunk that differ from the message before in the bytes
// of its payload only: same topic, same size, nothing else in it. Most short
// messages of a stream are such. What was found out about the first holds for
// all of them, so comparing the bytes before the payload replaces reading them.
//
// Thread-compatible. What it remembers is in the chunk and must stay there.
class RepeatedMessage {
 public:
  void Forget() { frame_bytes_ = 0; }

  // `message` is what ReadMessage found in `frame`, without fault. Forgets if
  // it holds more than a topic and a payload.
  void Remember(std::string_view frame, const MessageView& message) {
    // A tag and a length of two bytes at most, for which the payload is short:
    // another field would take two bytes more.
    constexpr ptrdiff_t kTagAndLengthMax = 3;
    const char* const payload = message.payload.data();
    const bool is_plain =
        payload != nullptr &&
        payload - (message.topic.data() + message.topic.size()) <=
            kTagAndLengthMax &&
        payload + message.payload.size() == frame.data() + frame.size();
    head_ = frame.data();
    topic_ = message.topic.data() - frame.data();
    topic_bytes_ = message.topic.size();
    head_bytes_ = frame.size() - message.payload.size();
    frame_bytes_ = is_plain ? frame.size() : 0;
  }

  // Whether `bytes` begin with such a frame, and have all of it.
  bool IsFrontOf(std::string_view bytes) const {
    return frame_bytes_ != 0 && bytes.size() >= frame_bytes_ &&
           std::memcmp(bytes.data(), head_, head_bytes_) == 0;
  }
  // REQUIRES: IsFrontOf(any bytes).
  size_t frame_bytes() const { return frame_bytes_; }
  size_t payload_bytes() const { return frame_bytes_ - head_bytes_; }
  // The topic that ReadMessage would find in `frame`, which is one repeated
  // frame and nothing more.
  std::string_view Topic(std::string_view frame) const {
    return {frame.data() + topic_, topic_bytes_};
  }
  std::string_view Payload(std::string_view frame) const {
    return {frame.data() + head_bytes_, payload_bytes()};
  }

 private:
  const char* head_ = nullptr;  // everything up to the payload
  size_t head_bytes_ = 0;
  ptrdiff_t topic_ = 0;  // from the front of a frame
  size_t topic_bytes_ = 0;
  size_t frame_bytes_ = 0;  // 0: nothing is remembered
};

}  // namespace fifobus

#endif  // FIFOBUS_PROTO_REPEATED_MESSAGE_H_
