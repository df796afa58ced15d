#include "clients/cli/bridge/jet_stream.h"

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "clients/cli/bridge/text.h"
#include "clients/cli/json_members.h"
#include "nlohmann/json.hpp"

namespace fifobus::bridge {
namespace {

using cli::NumberAt;
using cli::ObjectAt;
using cli::SignedAt;
using cli::TextAt;
using Json = nlohmann::json;

// Codes of nats-server's errors: server/errors.json of its source.
enum ErrorCode {
  kMessageTooLarge = 10054,
  kStreamMismatch = 10060,
  kWrongLastMessageId = 10070,
  kWrongLastSequence = 10071,
};

// NATS's own status for "no responders".
constexpr std::string_view kNobody = "503";

// An empty object for what is no JSON.
Json Parsed(std::string_view text) {
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  return json.is_object() ? json : Json::object();
}

std::optional<absl::Time> TimeAt(const Json& json, const char* name) {
  absl::Time time;
  std::string fault;
  if (!absl::ParseTime(absl::RFC3339_full, TextAt(json, name), &time, &fault)) {
    return std::nullopt;
  }
  return time;
}

std::string DroppingLimits(const Json& config) {
  std::vector<std::string> limits;
  if (const int64_t age = SignedAt(config, "max_age"); age > 0) {
    limits.push_back("max_age " + absl::FormatDuration(absl::Nanoseconds(age)));
  }
  if (TextAt(config, "discard") != "new") {
    for (const char* name : {"max_msgs", "max_bytes"}) {
      const int64_t limit = SignedAt(config, name);
      if (limit > 0) limits.push_back(Concat(name, " ", limit));
    }
  }
  return Join(limits, ", ");
}

// The error in an answer of JetStream's API; OK: there is none.
absl::Status ErrorIn(const NatsMessage& answer, const Json& json) {
  if (answer.header("Status") == kNobody) {
    return absl::UnavailableError("JetStream does not answer");
  }
  const Json error = ObjectAt(json, "error");
  if (!error.empty()) {
    const std::string text = TextAt(error, "description");
    const uint64_t code = NumberAt(error, "code");
    if (code == 404) return absl::NotFoundError(text);
    if (code == 503) return absl::UnavailableError(text);
    return absl::FailedPreconditionError(text);
  }
  if (json.empty()) return absl::UnavailableError("the answer is no JSON");
  return absl::OkStatus();
}

int64_t Nanoseconds(absl::Duration duration) {
  return absl::ToInt64Nanoseconds(duration);
}

// "NATS/1.0\r\nName: value\r\n...\r\n"
std::vector<NatsMessage::Header> ReadHeaderBlock(std::string_view block) {
  std::vector<NatsMessage::Header> headers;
  const size_t first = block.find("\r\n");
  if (first == std::string_view::npos) return headers;
  for (std::string_view line : Split(block.substr(first + 2), '\n')) {
    if (line.ends_with('\r')) line.remove_suffix(1);
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    std::string_view value = line.substr(colon + 1);
    while (!value.empty() && value.front() == ' ') value.remove_prefix(1);
    headers.push_back({std::string(line.substr(0, colon)), std::string(value)});
  }
  return headers;
}

}  // namespace

PubAck ReadPubAck(const NatsMessage& answer) {
  PubAck ack;
  if (answer.header("Status") == kNobody) {
    ack.outcome = PubAck::Outcome::kNoStream;
    ack.text = "nobody takes this subject now";
    return ack;
  }
  const Json json = Parsed(answer.payload);
  const Json error = ObjectAt(json, "error");
  ack.text = TextAt(error, "description");
  if (error.empty()) {
    ack.sequence = NumberAt(json, "seq");
    const auto duplicate = json.find("duplicate");
    ack.outcome = ack.sequence == 0 ? PubAck::Outcome::kRefused
                  : duplicate != json.end() && *duplicate == true
                      ? PubAck::Outcome::kDuplicate
                      : PubAck::Outcome::kStored;
    return ack;
  }
  switch (NumberAt(error, "err_code")) {
    case kWrongLastMessageId:
    case kWrongLastSequence:
      ack.outcome = PubAck::Outcome::kWrongPlace;
      break;
    case kMessageTooLarge:
      ack.outcome = PubAck::Outcome::kTooLarge;
      break;
    case kStreamMismatch:
      ack.outcome = PubAck::Outcome::kOtherStream;
      break;
    default:
      ack.outcome = PubAck::Outcome::kRefused;
  }
  return ack;
}

std::string StreamInfoSubject(std::string_view stream) {
  return Concat("$JS.API.STREAM.INFO.", stream);
}

absl::StatusOr<StreamState> ReadStreamState(const NatsMessage& answer) {
  const Json json = Parsed(answer.payload);
  if (absl::Status error = ErrorIn(answer, json); !error.ok()) return error;
  StreamState state;
  const Json holds = ObjectAt(json, "state");
  state.first_sequence = NumberAt(holds, "first_seq");
  state.last_sequence = NumberAt(holds, "last_seq");
  state.deleted = NumberAt(holds, "num_deleted");
  const Json config = ObjectAt(json, "config");
  const auto subjects = config.find("subjects");
  if (subjects != config.end() && subjects->is_array()) {
    for (const Json& subject : *subjects) {
      if (subject.is_string()) {
        state.subjects.push_back(subject.get<std::string>());
      }
    }
  }
  state.dropping_limits = DroppingLimits(config);
  state.messages_per_subject =
      TextAt(config, "discard") == "new"
          ? 0
          : static_cast<uint64_t>(
                std::max<int64_t>(SignedAt(config, "max_msgs_per_subject"), 0));
  state.server_time = TimeAt(json, "ts");
  const Json held = ObjectAt(ObjectAt(json, "state"), "subjects");
  for (const auto& [subject, messages] : held.items()) {
    state.held_subjects.push_back(subject);
  }
  state.held_subjects_total =
      std::max<uint64_t>(NumberAt(json, "total"), state.held_subjects.size());
  return state;
}

std::string StreamSubjectsBody(std::string_view filter, uint64_t first) {
  return Json{{"subjects_filter", filter}, {"offset", first}}.dump();
}

std::string StreamCreateSubject(std::string_view stream) {
  return Concat("$JS.API.STREAM.CREATE.", stream);
}

std::string StreamCreateBody(const StreamConfig& config) {
  Json json = {{"name", config.name},
               {"subjects", config.subjects},
               {"storage", "file"},
               {"num_replicas", config.replicas}};
  if (config.bytes_max > 0) json["max_bytes"] = config.bytes_max;
  if (config.age_max > absl::ZeroDuration()) {
    json["max_age"] = Nanoseconds(config.age_max);
  }
  if (config.messages_per_subject > 0) {
    json["max_msgs_per_subject"] = config.messages_per_subject;
  }
  return json.dump();
}

std::string MessageGetSubject(std::string_view stream) {
  return Concat("$JS.API.STREAM.MSG.GET.", stream);
}

std::string MessageBody(uint64_t sequence) {
  return Json{{"seq", sequence}}.dump();
}

std::string LastMessageBody(std::string_view filter) {
  return Json{{"last_by_subj", filter}}.dump();
}

std::string NextMessageBody(uint64_t sequence, std::string_view filter) {
  return Json{{"seq", sequence}, {"next_by_subj", filter}}.dump();
}

absl::StatusOr<StoredMessage> ReadStoredMessage(const NatsMessage& answer) {
  const Json json = Parsed(answer.payload);
  if (absl::Status error = ErrorIn(answer, json); !error.ok()) return error;
  const Json message = ObjectAt(json, "message");
  StoredMessage stored;
  stored.sequence = NumberAt(message, "seq");
  stored.time = TimeAt(message, "time").value_or(absl::InfinitePast());
  stored.message.subject = TextAt(message, "subject");
  std::string block;
  if (!absl::Base64Unescape(TextAt(message, "hdrs"), &block) ||
      !absl::Base64Unescape(TextAt(message, "data"), &stored.message.payload)) {
    return absl::FailedPreconditionError("the answer holds no base64");
  }
  stored.message.headers = ReadHeaderBlock(block);
  return stored;
}

std::string ConsumerFault(const ConsumerState& consumer,
                          std::string_view filter) {
  if (!consumer.explicit_acks || !consumer.pulls) {
    return "must pull, and acknowledge each message (ack policy explicit)";
  }
  const std::string_view has =
      consumer.filter.empty() ? std::string_view(">") : consumer.filter;
  if (has == filter) return "";
  return Concat("has the filter \"", has, "\" and not \"", filter, "\"");
}

std::string ConsumerInfoSubject(std::string_view stream,
                                std::string_view consumer) {
  return Concat("$JS.API.CONSUMER.INFO.", stream, ".", consumer);
}

absl::StatusOr<ConsumerState> ReadConsumerState(const NatsMessage& answer) {
  const Json json = Parsed(answer.payload);
  if (absl::Status error = ErrorIn(answer, json); !error.ok()) return error;
  const Json delivered = ObjectAt(json, "delivered");
  const Json config = ObjectAt(json, "config");
  ConsumerState state;
  state.delivered_consumer = NumberAt(delivered, "consumer_seq");
  state.delivered_stream = NumberAt(delivered, "stream_seq");
  state.ack_floor_stream = NumberAt(ObjectAt(json, "ack_floor"), "stream_seq");
  state.unacked = NumberAt(json, "num_ack_pending");
  state.pending = NumberAt(json, "num_pending");
  state.filter = TextAt(config, "filter_subject");
  state.explicit_acks = TextAt(config, "ack_policy") == "explicit";
  state.pulls = TextAt(config, "deliver_subject").empty();
  return state;
}

std::string ConsumerCreateSubject(const ConsumerConfig& config) {
  return Concat("$JS.API.CONSUMER.DURABLE.CREATE.", config.stream, ".",
                config.name);
}

std::string ConsumerCreateBody(const ConsumerConfig& config) {
  Json consumer = {{"durable_name", config.name},
                   {"ack_policy", "explicit"},
                   {"deliver_policy", config.from_new ? "new" : "all"},
                   {"max_ack_pending", config.unacked_max},
                   {"ack_wait", Nanoseconds(config.ack_wait)}};
  if (!config.filter.empty()) consumer["filter_subject"] = config.filter;
  return Json{{"stream_name", config.stream}, {"config", consumer}}.dump();
}

std::string ValuesConsumerSubject(const ConsumerConfig& config) {
  return Concat("$JS.API.CONSUMER.CREATE.", config.stream, ".", config.name);
}

std::string ValuesConsumerBody(const ConsumerConfig& config,
                               std::string_view deliver_subject,
                               absl::Duration heartbeat) {
  // This policy wants a filter, if only that of all.
  const Json consumer = {
      {"name", config.name},
      {"deliver_subject", deliver_subject},
      {"deliver_policy", "last_per_subject"},
      {"filter_subject", config.filter.empty() ? ">" : config.filter},
      {"ack_policy", "none"},
      {"flow_control", true},
      {"idle_heartbeat", Nanoseconds(heartbeat)},
      {"mem_storage", true},
      {"num_replicas", 1}};
  return Json{{"stream_name", config.stream}, {"config", consumer}}.dump();
}

std::string ConsumerDeleteSubject(std::string_view stream,
                                  std::string_view consumer) {
  return Concat("$JS.API.CONSUMER.DELETE.", stream, ".", consumer);
}

std::string PullSubject(std::string_view stream, std::string_view consumer) {
  return Concat("$JS.API.CONSUMER.MSG.NEXT.", stream, ".", consumer);
}

std::string PullBody(uint64_t messages, absl::Duration expires,
                     absl::Duration heartbeat) {
  return Json{{"batch", messages},
              {"expires", Nanoseconds(expires)},
              {"idle_heartbeat", Nanoseconds(heartbeat)}}
      .dump();
}

std::optional<Delivered> ReadDelivered(std::string_view reply) {
  const std::vector<std::string_view> tokens = Split(reply, '.');
  if (tokens.size() < 9 || tokens[0] != "$JS" || tokens[1] != "ACK") {
    return std::nullopt;
  }
  // Domain and account stand before the stream since the form has 11 tokens.
  const size_t at = tokens.size() >= 11 ? 6 : 4;
  const auto count = ReadNumber(tokens[at]);
  const auto stream = ReadNumber(tokens[at + 1]);
  const auto consumer = ReadNumber(tokens[at + 2]);
  const auto time = ReadNumber(tokens[at + 3]);
  const auto pending = ReadNumber(tokens[at + 4]);
  if (!count || !stream || !consumer || !time || !pending) return std::nullopt;
  return Delivered{std::string(tokens[at - 1]),
                   absl::FromUnixNanos(static_cast<int64_t>(*time)),
                   *count,
                   *stream,
                   *consumer,
                   *pending};
}

}  // namespace fifobus::bridge
