#include "clients/cpp/internal/message_check.h"

#include <algorithm>

#include "fmt/format.h"
#include "proto/topic.h"

namespace fifobus {
namespace {

absl::Status CheckName(std::string_view kind, std::string_view topic,
                       TopicFault fault) {
  if (fault == TopicFault::kNone) return absl::OkStatus();
  return absl::InvalidArgumentError(fmt::format("the {} \"{}\" {}", kind,
                                                topic.substr(0, kTopicBytesMax),
                                                TopicFaultText(fault)));
}

absl::Status CheckText(std::string_view kind, std::string_view text) {
  const bool printable = std::all_of(
      text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
  if (printable) return absl::OkStatus();
  return absl::InvalidArgumentError(
      fmt::format("the {} is not printable ASCII", kind));
}

}  // namespace

absl::Status CheckPublishTopic(std::string_view topic) {
  return CheckName("topic", topic, CheckTopicToPublish(topic));
}

absl::Status CheckMetadata(const MessageFields& message) {
  absl::Status status;
  if (!message.reply_topic.empty()) {
    status = CheckName("reply topic", message.reply_topic,
                       CheckTopic(message.reply_topic));
  }
  if (status.ok()) status = CheckText("content type", message.content_type);
  for (const HeaderView& header : message.headers) {
    if (status.ok()) status = CheckText("name of a header", header.name);
  }
  return status;
}

}  // namespace fifobus
