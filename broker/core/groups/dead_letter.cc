#include "broker/core/groups/dead_letter.h"

#include <optional>
#include <vector>

#include "proto/frame_writer.h"

namespace fifobus {

std::string DeadLetterTopic(std::string_view group) {
  return "$dead/" + std::string(group);
}

DeadLetterOutcome PublishDeadLetter(const DeadLetter& letter,
                                    size_t frame_bytes_max, Router& router) {
  const std::string_view frame = letter.message.frame();
  const MessageView message = ReadMessageFrame(frame);
  std::vector<HeaderView> headers;
  HeaderReader own(message);
  while (const std::optional<HeaderView> header = own.Next()) {
    headers.push_back(*header);
  }
  const std::string deliveries = std::to_string(letter.message.deliveries());
  headers.push_back({"fifobus-topic", message.topic});
  headers.push_back({"fifobus-deliveries", deliveries});
  const std::string topic = DeadLetterTopic(letter.group);
  MessageFields fields;
  fields.topic = topic;
  fields.payload = message.payload;
  fields.sequence = message.sequence;
  fields.publish_time_unix_nanos = message.publish_time_unix_nanos;
  fields.reply_topic = message.reply_topic;
  fields.content_type = message.content_type;
  fields.headers = headers;
  if (MessageBodyBytes(fields) > frame_bytes_max) {
    return DeadLetterOutcome::kTooLarge;
  }
  router.PublishOwn(fields);
  return DeadLetterOutcome::kPublished;
}

}  // namespace fifobus
