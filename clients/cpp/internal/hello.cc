#include "clients/cpp/internal/hello.h"

#include <cstddef>
#include <vector>

#include "clients/cpp/internal/message_check.h"
#include "clients/cpp/owned_message.h"
#include "fmt/format.h"
#include "proto/frame_writer.h"
#include "proto/overflow.h"

namespace fifobus {
namespace {

// Hello must fit into a pipe that nobody reads yet.
constexpr size_t kWillBytesMax = size_t{32} << 10;

absl::Status CheckWill(const OwnedMessage& will) {
  std::vector<HeaderView> headers;
  for (const OwnedMessage::Header& header : will.headers) {
    headers.push_back({header.name, header.value});
  }
  MessageFields fields;
  fields.topic = will.topic;
  fields.payload = will.payload;
  fields.reply_topic = will.reply_topic;
  fields.content_type = will.content_type;
  fields.headers = headers;
  absl::Status status = CheckPublishTopic(will.topic);
  if (status.ok()) status = CheckMetadata(fields);
  if (status.ok() && MessageBodyBytes(fields) > kWillBytesMax) {
    status = absl::InvalidArgumentError(
        fmt::format("the will has {} bytes; at most {} are possible",
                    MessageBodyBytes(fields), kWillBytesMax));
  }
  return status;
}

}  // namespace

absl::Status CheckOptions(const ClientOptions& options) {
  if (options.publisher.empty()) {
    if (options.resend_bytes_max != 0) {
      return absl::InvalidArgumentError(
          "resend_bytes_max needs a publisher: by its name a log recognises "
          "what is sent again");
    }
  } else {
    const absl::Status name = CheckLevelName("publisher", options.publisher);
    if (!name.ok()) return name;
  }
  return options.will ? CheckWill(*options.will) : absl::OkStatus();
}

pb::Hello HelloOf(const ClientOptions& options) {
  pb::Hello hello;
  hello.set_client_name(options.client_name);
  if (options.overflow) hello.set_overflow(OverflowInFrame(*options.overflow));
  hello.set_queue_bytes_max(options.queue_bytes_max);
  hello.set_queue_messages_max(options.queue_messages_max);
  hello.set_publisher(options.publisher);
  if (options.will) options.will->CopyTo(*hello.mutable_will());
  return hello;
}

}  // namespace fifobus
