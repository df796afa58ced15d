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

absl::Status CheckLevelName(std::string_view kind, std::string_view name) {
  if (CheckTopic(name) == TopicFault::kNone && !IsReserved(name) &&
      name.find('/') == std::string_view::npos) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(fmt::format(
      "the {} \"{}\" is not one level of a topic: letters, digits and "
      "_ . : @ -",
      kind, name.substr(0, kTopicBytesMax)));
}

absl::Status CheckConfirmLevel(const MessageFields& message) {
  constexpr uint32_t kHighest = 3;  // stored
  if (message.confirm_level > kHighest) {
    return absl::InvalidArgumentError(
        fmt::format("the confirm_level {} is none: use LevelInFrame",
                    message.confirm_level));
  }
  return message.confirm_id != 0
             ? absl::OkStatus()
             : absl::InvalidArgumentError(
                   "a confirm_level needs a confirm_id, which the "
                   "confirmation repeats");
}

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
