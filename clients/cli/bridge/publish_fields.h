#ifndef FIFOBUS_CLIENTS_CLI_BRIDGE_PUBLISH_FIELDS_H_
#define FIFOBUS_CLIENTS_CLI_BRIDGE_PUBLISH_FIELDS_H_

#include <vector>

#include "clients/cpp/owned_message.h"
#include "proto/frame.h"
#include "proto/frame_writer.h"

namespace fifobus::bridge {

// A message that came from NATS as Client::Publish wants it. Refers to the
// message, which must outlive it. Thread-compatible.
class PublishFields {
 public:
  explicit PublishFields(const OwnedMessage& message) {
    for (const OwnedMessage::Header& header : message.headers) {
      headers_.push_back({header.name, header.value});
    }
    fields.topic = message.topic;
    fields.payload = message.payload;
    fields.publish_time_unix_nanos = message.publish_time_unix_nanos;
    fields.content_type = message.content_type;
    fields.headers = headers_;
  }
  PublishFields(const PublishFields&) = delete;
  PublishFields& operator=(const PublishFields&) = delete;

 private:
  std::vector<HeaderView> headers_;

 public:
  // Without reply topic and expiry, which the maps treat differently.
  MessageFields fields;
};

}  // namespace fifobus::bridge

#endif  // FIFOBUS_CLIENTS_CLI_BRIDGE_PUBLISH_FIELDS_H_
