#include "clients/cli/pub/json_message.h"

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/time/time.h"
#include "fmt/format.h"
#include "nlohmann/json.hpp"

namespace fifobus::cli {
namespace {

using Json = nlohmann::json;

// One member of an object. A Json object keeps but one of each name.
struct Member {
  std::string name;
  Json value;
};

// The members of a message, and of its headers, in their order.
struct Members {
  std::vector<Member> message;
  std::vector<Member> headers;
};

absl::Status Fault(std::string_view name, std::string_view what) {
  return absl::InvalidArgumentError(
      fmt::format("\"{}\" {}", name.substr(0, 64), what));
}

absl::StatusOr<Members> ReadMembers(std::string_view text) {
  Members members;
  bool in_headers = false;
  // At depth 1 are the message's members, at depth 2 those of the headers.
  const auto keep = [&](int depth, Json::parse_event_t event, Json& parsed) {
    const bool is_key = event == Json::parse_event_t::key;
    const bool is_value = event == Json::parse_event_t::value ||
                          event == Json::parse_event_t::object_end ||
                          event == Json::parse_event_t::array_end;
    if (depth == 1 && is_key) {
      in_headers = parsed == "headers";
      members.message.push_back({parsed.get<std::string>(), Json()});
    } else if (depth == 1 && is_value && !members.message.empty()) {
      members.message.back().value = parsed;
    } else if (depth == 2 && in_headers && is_key) {
      members.headers.push_back({parsed.get<std::string>(), Json()});
    } else if (depth == 2 && in_headers && is_value &&
               !members.headers.empty()) {
      members.headers.back().value = parsed;
    }
    return true;
  };
  try {
    if (Json::parse(text.begin(), text.end(), keep).is_object()) return members;
  } catch (const Json::exception& error) {
    // The library speaks in exceptions: "[json....101] parse error at ...".
    const std::string_view what = error.what();
    return absl::InvalidArgumentError(
        fmt::format("no JSON: {}", what.substr(what.find("] ") + 2)));
  }
  return absl::InvalidArgumentError("no JSON object");
}

absl::Status ReadText(const Member& member, std::string& text) {
  if (!member.value.is_string()) return Fault(member.name, "is no string");
  text = member.value.get<std::string>();
  return absl::OkStatus();
}

absl::Status ReadBase64(std::string_view name, const Json& value,
                        std::string& bytes) {
  if (value.is_string() &&
      absl::Base64Unescape(value.get<std::string>(), &bytes)) {
    return absl::OkStatus();
  }
  return Fault(name, "is no base64");
}

absl::Status ReadTime(const Member& member, uint64_t& unix_nanos) {
  absl::Time time;
  std::string fault;
  if (!member.value.is_string() ||
      !absl::ParseTime(absl::RFC3339_full, member.value.get<std::string>(),
                       &time, &fault) ||
      absl::ToUnixNanos(time) <= 0) {
    return Fault(member.name, "is no time such as 2026-11-23T20:15:00.5Z");
  }
  unix_nanos = static_cast<uint64_t>(absl::ToUnixNanos(time));
  return absl::OkStatus();
}

absl::Status AddHeader(const std::string& name, const Json& value,
                       OwnedMessage& message) {
  OwnedMessage::Header& header = message.headers.emplace_back();
  header.name = name;
  if (value.is_object() && value.contains("base64")) {
    return ReadBase64(name, value["base64"], header.value);
  }
  return ReadText({name, value}, header.value);
}

absl::Status ReadHeader(const Member& member, OwnedMessage& message) {
  if (!member.value.is_array()) {
    return AddHeader(member.name, member.value, message);
  }
  for (const Json& value : member.value) {
    const absl::Status status = AddHeader(member.name, value, message);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status ReadMember(const Member& member, OwnedMessage& message) {
  const std::string& name = member.name;
  if (name == "topic") return ReadText(member, message.topic);
  if (name == "payload") return ReadText(member, message.payload);
  if (name == "payload_base64") {
    return ReadBase64(name, member.value, message.payload);
  }
  if (name == "reply_topic") return ReadText(member, message.reply_topic);
  if (name == "content_type") return ReadText(member, message.content_type);
  if (name == "expiry") return ReadTime(member, message.expiry_unix_nanos);
  if (name == "headers" && member.value.is_object()) return absl::OkStatus();
  if (name == "retain" && member.value.is_boolean()) {
    message.retain = member.value.get<bool>();
    return absl::OkStatus();
  }
  for (const char* passed_over : {"sequence", "time", "retained", "ack_id",
                                  "delivery_count", "offset", "stored_time"}) {
    if (name == passed_over) return absl::OkStatus();
  }
  return Fault(name, "is not what a message has, or not of its type");
}

}  // namespace

absl::StatusOr<OwnedMessage> ParseJsonMessage(std::string_view text) {
  const auto members = ReadMembers(text);
  if (!members.ok()) return members.status();
  OwnedMessage message;
  int payloads = 0;
  for (const Member& member : members->message) {
    if (member.name.starts_with("payload")) ++payloads;
    const absl::Status status = ReadMember(member, message);
    if (!status.ok()) return status;
  }
  if (payloads != 1) {
    return absl::InvalidArgumentError(
        "there is not one payload or payload_base64");
  }
  for (const Member& header : members->headers) {
    const absl::Status status = ReadHeader(header, message);
    if (!status.ok()) return status;
  }
  return message;
}

}  // namespace fifobus::cli
