#include "clients/cpp/owned_message.h"

#include <optional>

#include "proto/frame.pb.h"

namespace fifobus {

OwnedMessage::OwnedMessage(const MessageView& message)
    : topic(message.topic),
      payload(message.payload),
      sequence(message.sequence),
      publish_time_unix_nanos(message.publish_time_unix_nanos),
      reply_topic(message.reply_topic),
      content_type(message.content_type),
      expiry_unix_nanos(message.expiry_unix_nanos),
      retain(message.retain) {
  HeaderReader reader(message);
  while (const std::optional<HeaderView> header = reader.Next()) {
    headers.push_back({std::string(header->name), std::string(header->value)});
  }
}

void OwnedMessage::CopyTo(pb::Message& message) const {
  message.set_topic(topic);
  message.set_payload(payload);
  message.set_sequence(sequence);
  message.set_publish_time_unix_nanos(publish_time_unix_nanos);
  message.set_reply_topic(reply_topic);
  message.set_content_type(content_type);
  message.set_expiry_unix_nanos(expiry_unix_nanos);
  message.set_retain(retain);
  for (const Header& header : headers) {
    pb::Header& copy = *message.add_headers();
    copy.set_name(header.name);
    copy.set_value(header.value);
  }
}

}  // namespace fifobus
