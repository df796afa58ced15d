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

bool IsPrintable(char c) {
  return absl::ascii_isprint(static_cast<unsigned char>(c)) && c != '%';
}

}  // namespace

DeadLetters::DeadLetters(std::unique_ptr<Client> client, std::string topic,
                         std::string origin)
    : client_(std::move(client)),
      topic_(std::move(topic)),
      origin_(std::move(origin)) {}

absl::Status DeadLetters::Put(std::string_view map, std::string_view source,
                              std::string_view reason,
                              std::string_view payload) {
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
    LogWarning("message set aside",
               {{"map", map}, {"source", source}, {"reason", reason}});
  }
  return put.status();
}

}  // namespace fifobus::bridge
