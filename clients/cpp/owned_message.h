#ifndef FIFOBUS_CLIENTS_CPP_OWNED_MESSAGE_H_
#define FIFOBUS_CLIENTS_CPP_OWNED_MESSAGE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "proto/frame.h"

namespace fifobus {

namespace pb {
class Message;  // of frame.pb.h, which is slow to compile
}  // namespace pb

// A message that owns its bytes, for what outlives a call: a will, the answer
// that Request returns. On the message path a MessageView does without copies.
// Fields are as in frame.proto; those that are absent are empty or 0.
struct OwnedMessage {
  struct Header {
    std::string name;
    std::string value;
  };

  OwnedMessage() = default;
  explicit OwnedMessage(const MessageView& message);

  // REQUIRES: nothing of `message` is set.
  void CopyTo(pb::Message& message) const;

  std::string topic;
  std::string payload;
  uint64_t sequence = 0;
  uint64_t publish_time_unix_nanos = 0;
  std::string reply_topic;
  std::string content_type;
  uint64_t expiry_unix_nanos = 0;
  std::vector<Header> headers;
  bool retain = false;
};

}  // namespace fifobus

#endif  // FIFOBUS_CLIENTS_CPP_OWNED_MESSAGE_H_
