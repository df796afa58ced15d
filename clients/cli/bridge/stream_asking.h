#ifndef FIFOBUS_CLIENTS_CLI_BRIDGE_STREAM_ASKING_H_
#define FIFOBUS_CLIENTS_CLI_BRIDGE_STREAM_ASKING_H_

#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "clients/cli/bridge/bridge_map.h"
#include "clients/cli/bridge/jet_stream.h"
#include "clients/cli/bridge/nats_message.h"
#include "clients/cli/bridge/subject_names.h"
#include "clients/cli/bridge/text.h"

// How the maps of logs and streams ask JetStream about streams and consumers.
// Thread-safe (no state).
namespace fifobus::bridge {

// An answer of JetStream that does not come in this time is lost.
inline constexpr absl::Duration kAnswerPatience = absl::Seconds(3);

// How long a map pauses before it asks again.
inline constexpr absl::Duration kPauseLeast = absl::Milliseconds(50);
inline constexpr absl::Duration kPauseMost = absl::Seconds(5);

// The answer comes to the subject `reply`.
[[nodiscard]] inline SendOutcome AskJetStream(NatsSender& nats,
                                              std::string subject,
                                              std::string reply,
                                              std::string body) {
  NatsMessage request;
  request.subject = std::move(subject);
  request.reply = std::move(reply);
  request.payload = std::move(body);
  return nats.Send(std::move(request));
}

// A stream that [[out]] with create = true wants and there is none.
inline StreamConfig StreamToMake(const MapConfig& config) {
  StreamConfig make;
  make.name = config.stream;
  make.subjects = {config.filter};
  make.replicas = config.replicas;
  make.bytes_max = config.stream_bytes_max;
  make.age_max = config.stream_age_max;
  if (config.is_retained()) make.messages_per_subject = 1;
  return make;
}

// Why a map cannot write to the stream; empty: it can.
inline std::string StreamFault(const StreamState& stream,
                               const MapConfig& config) {
  for (const std::string& subject : stream.subjects) {
    if (FilterCovers(subject, config.filter)) return "";
  }
  return Concat("stream ", config.stream, " does not take all subjects ",
                config.filter, "; it takes ", Join(stream.subjects, ", "));
}

// What the stream's limits do to a map's messages, for people; empty: nothing.
inline std::string LimitsWarning(const StreamState& stream,
                                 const MapConfig& config) {
  std::string limits = stream.dropping_limits;
  if (stream.messages_per_subject > 0 && !config.is_retained()) {
    limits += Concat(limits.empty() ? "" : ", ", "max_msgs_per_subject ",
                     stream.messages_per_subject);
  }
  if (limits.empty()) return "";
  return Concat("stream ", config.stream,
                " drops messages by its limits, read or not: ", limits);
}

// Why a stream or consumer that the bridge may make cannot be used, for people.
inline std::string TroubleWith(const absl::Status& status) {
  return MessageOf(status) +
         (absl::IsNotFound(status) ? "; make it, or set create = true" : "");
}

// The stream that an [[out]] writes to, as JetStream has answered. NotFound:
// there is none. Each error is for people.
inline absl::StatusOr<StreamState> ReadTarget(const NatsMessage& answer,
                                              const MapConfig& config) {
  auto stream = ReadStreamState(answer);
  if (!stream.ok()) {
    return absl::Status(
        stream.status().code(),
        Concat("stream ", config.stream, ": ", TroubleWith(stream.status())));
  }
  const std::string fault = StreamFault(*stream, config);
  if (!fault.empty()) return absl::FailedPreconditionError(fault);
  return stream;
}

// Nothing has come within the patience, for people.
inline std::string NoAnswer(std::string_view stream) {
  return Concat("stream ", stream, " does not answer");
}
inline std::string NoAcknowledgement(const MapConfig& config) {
  return Concat("stream ", config.stream,
                " acknowledges nothing; rights to publish on ", config.filter,
                " may be missing");
}

// A server that was cut off may answer for a stream that it leads no more.
inline std::string Disagreement(std::string_view stream) {
  return Concat("stream ", stream,
                ": its servers do not agree on what it holds");
}

}  // namespace fifobus::bridge

#endif  // FIFOBUS_CLIENTS_CLI_BRIDGE_STREAM_ASKING_H_
