#include "proto/message_text.h"

#include <cstdint>
#include <optional>
#include <string_view>

#include "absl/strings/escaping.h"
#include "absl/time/time.h"
#include "proto/json_text.h"

namespace fifobus {
namespace {

std::string Base64(std::string_view bytes) {
  return absl::Base64Escape(absl::string_view(bytes.data(), bytes.size()));
}

void AppendKey(std::string_view key, std::string& out) {
  out += ',';
  AppendJsonText(key, out);
  out += ':';
}

void AppendOptionalText(std::string_view key, std::string_view value,
                        std::string& out) {
  if (value.empty()) return;
  AppendKey(key, out);
  AppendJsonText(value, out);
}

void AppendOptionalTime(std::string_view key, uint64_t unix_nanos,
                        std::string& out) {
  if (unix_nanos == 0) return;
  AppendKey(key, out);
  out += '"';
  AppendTimeText(unix_nanos, out);
  out += '"';
}

void AppendOptionalNumber(std::string_view key, uint64_t value,
                          std::string& out) {
  if (value == 0) return;
  AppendKey(key, out);
  out += std::to_string(value);
}

void AppendPayload(std::string_view payload, std::string& out) {
  if (IsUtf8(payload)) {
    AppendKey("payload", out);
    AppendJsonText(payload, out);
  } else {
    AppendKey("payload_base64", out);
    AppendJsonText(Base64(payload), out);
  }
}

void AppendHeaders(const MessageView& message, std::string& out) {
  if (message.headers.empty()) return;
  AppendKey("headers", out);
  HeaderReader headers(message);
  char separator = '{';
  while (const std::optional<HeaderView> header = headers.Next()) {
    out += separator;
    separator = ',';
    AppendJsonText(header->name, out);
    out += ':';
    if (IsUtf8(header->value)) {
      AppendJsonText(header->value, out);
    } else {
      out += "{\"base64\":";
      AppendJsonText(Base64(header->value), out);
      out += '}';
    }
  }
  out += '}';
}

}  // namespace

void AppendPlainText(const MessageView& message, std::string& out) {
  out += message.payload;
  out += '\n';
}

void AppendTimeText(uint64_t unix_nanos, std::string& out) {
  if (unix_nanos == 0) return;
  out += absl::FormatTime("%Y-%m-%dT%H:%M:%E9SZ",
                          absl::FromUnixNanos(static_cast<int64_t>(unix_nanos)),
                          absl::UTCTimeZone());
}

void AppendJsonLine(const MessageView& message, const DeliveryView& delivery,
                    std::string& out) {
  out += "{\"topic\":";
  AppendJsonText(message.topic, out);
  AppendPayload(message.payload, out);
  AppendOptionalNumber("sequence", message.sequence, out);
  AppendOptionalTime("time", message.publish_time_unix_nanos, out);
  AppendOptionalText("reply_topic", message.reply_topic, out);
  AppendOptionalText("content_type", message.content_type, out);
  AppendOptionalTime("expiry", message.expiry_unix_nanos, out);
  AppendHeaders(message, out);
  if (delivery.retained) out += ",\"retained\":true";
  AppendOptionalNumber("ack_id", delivery.ack_id, out);
  AppendOptionalNumber("delivery_count", delivery.delivery_count, out);
  out += "}\n";
}

}  // namespace fifobus
