#include "clients/cli/message_options.h"

#include <unistd.h>

#include <array>
#include <cerrno>

#include "absl/time/clock.h"
#include "fmt/format.h"

namespace fifobus::cli {
namespace {

absl::Status AddHeader(const std::string& text,
                       std::vector<OwnedMessage::Header>& headers) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    return absl::InvalidArgumentError(fmt::format(
        "\"{}\" is no header; example: --header unit=celsius", text));
  }
  headers.push_back({text.substr(0, equals), text.substr(equals + 1)});
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<size_t> ReadInput(char* buffer, size_t size) {
  while (true) {
    const ssize_t bytes = read(STDIN_FILENO, buffer, size);
    if (bytes >= 0) return static_cast<size_t>(bytes);
    if (errno != EINTR) return absl::ErrnoToStatus(errno, "standard input");
  }
}

absl::StatusOr<std::string> ReadAllInput() {
  std::string all;
  std::array<char, 65536> buffer;
  while (true) {
    const auto bytes = ReadInput(buffer.data(), buffer.size());
    if (!bytes.ok()) return bytes.status();
    if (*bytes == 0) return all;
    all.append(buffer.data(), *bytes);
  }
}

void MessageOptions::AddTo(Command& command) {
  command.AddEach(
      "--header NAME=VALUE",
      [this](const std::string& text) { return AddHeader(text, headers); },
      "a header; may be given several times");
  command.AddText("--content-type TYPE", content_type,
                  "the payload's media type, such as application/json");
  command.AddDuration("--expire", expire,
                      "the message expires after this time and is then not "
                      "delivered");
}

void MessageOptions::Fill(MessageFields& message,
                          std::vector<HeaderView>& header_views) const {
  header_views.clear();
  for (const OwnedMessage::Header& header : headers) {
    header_views.push_back({header.name, header.value});
  }
  message.headers = header_views;
  message.content_type = content_type;
  message.publish_time_unix_nanos =
      static_cast<uint64_t>(absl::GetCurrentTimeNanos());
  if (expire != absl::InfiniteDuration()) {
    message.expiry_unix_nanos =
        message.publish_time_unix_nanos +
        static_cast<uint64_t>(absl::ToInt64Nanoseconds(expire));
  }
}

void WillOptions::AddTo(Command& command) {
  const Option topic =
      command.AddText("--will-topic TOPIC", message.topic,
                      "when this process dies, the broker publishes on TOPIC");
  command
      .AddText("--will-payload MESSAGE", message.payload,
               "the payload of that message")
      .Needs(topic);
  command
      .AddFlag("--will-retain", message.retain,
               "the broker also keeps that message as the retained "
               "value")
      .Needs(topic);
}

std::optional<OwnedMessage> WillOptions::will() const {
  if (message.topic.empty()) return std::nullopt;
  return message;
}

}  // namespace fifobus::cli
