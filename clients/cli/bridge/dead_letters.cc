#include "clients/cli/bridge/dead_letters.h"

#include <array>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/time/time.h"
#include "broker/base/log.h"
#include "clients/cli/bridge/message_headers.h"
#include "clients/cli/bridge/percent_text.h"
#include "clients/cli/bridge/text.h"
#include "proto/frame_writer.h"

namespace fifobus::bridge {
namespace {

// The bridge stands meanwhile. Rare, and the broker is on this machine.
constexpr absl::Duration kPatience = absl::Seconds(1);

std::string_view UsualText(DeadReason reason) {
  switch (reason) {
    case DeadReason::kNoSubject:
      return "its topic is no subject";
    case DeadReason::kNoTopic:
      return "its subject is no topic";
    case DeadReason::kTooLargeForServer:
      return "it is larger than the server's max_payload";
    case DeadReason::kTooLargeForStream:
      return "it is larger than the stream's max_msg_size";
    case DeadReason::kRefusedByBus:
      break;
  }
  return "the bus does not take it";
}

bool IsPrintable(char c) {
  return absl::ascii_isprint(static_cast<unsigned char>(c)) && c != '%';
}

}  // namespace

std::string_view DeadReasonName(DeadReason reason) {
  switch (reason) {
    case DeadReason::kNoSubject:
      return "no-subject";
    case DeadReason::kNoTopic:
      return "no-topic";
    case DeadReason::kTooLargeForServer:
      return "too-large-for-server";
    case DeadReason::kTooLargeForStream:
      return "too-large-for-stream";
    case DeadReason::kRefusedByBus:
      break;
  }
  return "refused-by-bus";
}

DeadLetters::DeadLetters(std::unique_ptr<Client> client, std::string topic,
                         std::string origin)
    : client_(std::move(client)),
      topic_(std::move(topic)),
      origin_(std::move(origin)) {}

absl::Status DeadLetters::Put(std::string_view map, std::string_view source,
                              DeadReason why, std::string_view text,
                              std::string_view payload) {
  const std::string_view reason = text.empty() ? UsualText(why) : text;
  // A subject of NATS is any bytes.
  const std::string source_text = PercentEncode(source, IsPrintable);
  std::array<HeaderView, 4> headers = {{{kOriginHeader, origin_},
                                        {"bridge-map", map},
                                        {"bridge-reason", reason},
                                        {"bridge-source", source_text}}};
  MessageFields fields;
  fields.topic = topic_;
  fields.payload = payload;
  fields.headers = headers;
  auto put = client_->PublishConfirmed(fields, kPatience);
  std::string longer;
  if (absl::IsInvalidArgument(put.status())) {
    longer = Concat(reason, "; its payload of ", payload.size(),
                    " bytes is left out");
    headers[2].value = longer;
    fields.payload = "";
    put = client_->PublishConfirmed(fields, kPatience);
  }
  if (put.ok()) {
    ++counts_[{std::string(map), why}];
    LogWarning("message set aside",
               {{"map", map}, {"source", source}, {"reason", reason}});
  }
  return put.status();
}

std::map<std::string, uint64_t> DeadLetters::counts(
    std::string_view map) const {
  std::map<std::string, uint64_t> found;
  for (const auto& [key, messages] : counts_) {
    if (key.first == map) {
      found.emplace(DeadReasonName(key.second), messages);
    }
  }
  return found;
}

}  // namespace fifobus::bridge
