#include "clients/cli/message_options.h"

#include <unistd.h>

#include <array>
#include <cerrno>

#include "absl/time/clock.h"
#include "clients/cli/command.h"
#include "fmt/format.h"

namespace fifobus::cli {
namespace {

OwnedMessage::Header HeaderOf(const std::string& text) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    throw CLI::ValidationError(fmt::format(
        "\"{}\" is no header; example: --header unit=celsius", text));
  }
  return {text.substr(0, equals), text.substr(equals + 1)};
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

void MessageOptions::AddTo(CLI::App& app) {
  app.add_option_function<std::vector<std::string>>(
         "--header",
         [this](const std::vector<std::string>& texts) {
           for (const std::string& text : texts) {
             headers.push_back(HeaderOf(text));
           }
         },
         "a header; may be given several times")
      ->allow_extra_args(false)  // one each time, so that TOPIC may follow
      ->type_name("NAME=VALUE");
  app.add_option("--content-type", content_type,
                 "the payload's media type, such as application/json")
      ->type_name("TYPE");
  AddDuration(app, "--expire", expire,
              "the message expires after this time and is then not delivered");
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

void WillOptions::AddTo(CLI::App& app) {
  CLI::Option* topic =
      app.add_option("--will-topic", message.topic,
                     "when this process dies, the broker publishes on TOPIC")
          ->type_name("TOPIC");
  app.add_option("--will-payload", message.payload,
                 "the payload of that message")
      ->needs(topic)
      ->type_name("MESSAGE");
  app.add_flag("--will-retain", message.retain,
               "the broker also keeps that message as the retained value")
      ->needs(topic);
}

std::optional<OwnedMessage> WillOptions::will() const {
  if (message.topic.empty()) return std::nullopt;
  return message;
}

}  // namespace fifobus::cli
