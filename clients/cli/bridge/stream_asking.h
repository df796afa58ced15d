#ifndef FIFOBUS_CLIENTS_CLI_BRIDGE_STREAM_ASKING_H_
#define FIFOBUS_CLIENTS_CLI_BRIDGE_STREAM_ASKING_H_

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "clients/cli/bridge/bridge_map.h"
#include "clients/cli/bridge/nats_message.h"
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

// Why a stream or consumer that the bridge may make cannot be used, for people.
inline std::string TroubleWith(const absl::Status& status) {
  return MessageOf(status) +
         (absl::IsNotFound(status) ? "; make it, or set create = true" : "");
}

}  // namespace fifobus::bridge

#endif  // FIFOBUS_CLIENTS_CLI_BRIDGE_STREAM_ASKING_H_
