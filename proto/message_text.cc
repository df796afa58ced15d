#include "proto/message_text.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <tuple>
#include <utility>

#include "absl/container/inlined_vector.h"
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

void AppendHeaderValue(std::string_view value, std::string& out) {
  if (IsUtf8(value)) {
    AppendJsonText(value, out);
    return;
  }
  out += "{\"base64\":";
  AppendJsonText(Base64(value), out);
  out += '}';
}

// More headers than that allocate memory. Not tuned.
constexpr size_t kUsualHeaders = 16;

// A header and its place among those of its message.
struct PlacedHeader {
  HeaderView header;
  size_t place = 0;
};
// Those of one name, in a sorted list, from the first to behind the last.
struct SameName {
  size_t begin = 0;
  size_t end = 0;
};
using PlacedHeaders = absl::InlinedVector<PlacedHeader, kUsualHeaders>;

// The headers by name, in their order within a name. Sorted, because a message
// may have a million of them.
PlacedHeaders SortByName(const MessageView& message) {
  PlacedHeaders sorted;
  HeaderReader headers(message);
  while (const std::optional<HeaderView> header = headers.Next()) {
    sorted.push_back({*header, sorted.size()});
  }
  std::sort(sorted.begin(), sorted.end(),
            [](const PlacedHeader& a, const PlacedHeader& b) {
              return std::tie(a.header.name, a.place) <
                     std::tie(b.header.name, b.place);
            });
  return sorted;
}

// The names in the order in which they first appear.
absl::InlinedVector<SameName, kUsualHeaders> NamesInOrder(
    const PlacedHeaders& sorted) {
  absl::InlinedVector<SameName, kUsualHeaders> names;
  for (size_t i = 0; i < sorted.size(); ++i) {
    if (i > 0 && sorted[i].header.name == sorted[i - 1].header.name) {
      names.back().end = i + 1;
    } else {
      names.push_back({i, i + 1});
    }
  }
  std::sort(names.begin(), names.end(),
            [&](const SameName& a, const SameName& b) {
              return sorted[a.begin].place < sorted[b.begin].place;
            });
  return names;
}

void AppendHeaders(const MessageView& message, std::string& out) {
  if (message.headers.empty()) return;
  AppendKey("headers", out);
  const PlacedHeaders sorted = SortByName(message);
  char separator = '{';
  for (const SameName& name : NamesInOrder(sorted)) {
    out += std::exchange(separator, ',');
    AppendJsonText(sorted[name.begin].header.name, out);
    out += ':';
    const bool several = name.end - name.begin > 1;
    if (several) out += '[';
    for (size_t i = name.begin; i < name.end; ++i) {
      if (i > name.begin) out += ',';
      AppendHeaderValue(sorted[i].header.value, out);
    }
    if (several) out += ']';
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
  AppendOptionalNumber("offset", delivery.offset, out);
  AppendOptionalTime("stored_time", delivery.stored_time_unix_nanos, out);
  out += "}\n";
}

}  // namespace fifobus
