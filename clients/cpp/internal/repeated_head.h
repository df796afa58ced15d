#ifndef FIFOBUS_CLIENTS_CPP_INTERNAL_REPEATED_HEAD_H_
#define FIFOBUS_CLIENTS_CPP_INTERNAL_REPEATED_HEAD_H_

#include <cstddef>
#include <string>
#include <string_view>

namespace fifobus {

// What comes before the payload in the frame of a message with nothing but a
// topic and a payload. All that have the same topic and size have the same, so
// that copying it replaces encoding. Thread-compatible.
class RepeatedHead {
 public:
  // REQUIRES: `frame` is that of such a message, and ends with its payload.
  void Remember(std::string_view topic, size_t payload_bytes,
                std::string_view frame) {
    bytes_ = frame.substr(0, frame.size() - payload_bytes);
    topic_ = topic;
    payload_bytes_ = payload_bytes;
  }

  bool Fits(std::string_view topic, size_t payload_bytes) const {
    return payload_bytes == payload_bytes_ && topic == topic_;
  }
  // REQUIRES: Fits() the message.
  const std::string& bytes() const { return bytes_; }

 private:
  static constexpr size_t kNone = static_cast<size_t>(-1);

  std::string bytes_;
  std::string topic_;
  size_t payload_bytes_ = kNone;
};

}  // namespace fifobus

#endif  // FIFOBUS_CLIENTS_CPP_INTERNAL_REPEATED_HEAD_H_
