#include "clients/cli/shell/message_variables.h"

#include <cctype>
#include <optional>
#include <string_view>

#include "fmt/format.h"

namespace fifobus::cli {
namespace {

// "trace-id" becomes "FIFOBUS_HEADER_TRACE_ID".
std::string HeaderVariable(std::string_view name) {
  std::string variable = "FIFOBUS_HEADER_";
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    variable +=
        std::isalnum(byte) != 0 ? static_cast<char>(std::toupper(byte)) : '_';
  }
  return variable;
}

}  // namespace

std::vector<std::string> MessageVariables(const MessageView& message,
                                          const DeliveryView& delivery) {
  std::vector<std::string> variables = {
      fmt::format("FIFOBUS_TOPIC={}", message.topic),
      fmt::format("FIFOBUS_SEQUENCE={}", message.sequence),
      fmt::format("FIFOBUS_PUBLISH_TIME_UNIX_NANOS={}",
                  message.publish_time_unix_nanos),
      fmt::format("FIFOBUS_REPLY_TOPIC={}", message.reply_topic),
      fmt::format("FIFOBUS_CONTENT_TYPE={}", message.content_type),
      fmt::format("FIFOBUS_RETAINED={}", delivery.retained ? 1 : 0),
      fmt::format("FIFOBUS_DELIVERY_COUNT={}", delivery.delivery_count),
  };
  if (delivery.offset != 0) {
    variables.push_back(fmt::format("FIFOBUS_OFFSET={}", delivery.offset));
    variables.push_back(fmt::format("FIFOBUS_STORED_TIME_UNIX_NANOS={}",
                                    delivery.stored_time_unix_nanos));
  }
  HeaderReader headers(message);
  while (const std::optional<HeaderView> header = headers.Next()) {
    variables.push_back(
        fmt::format("{}={}", HeaderVariable(header->name), header->value));
  }
  return variables;
}

}  // namespace fifobus::cli
