#include "broker/core/sessions/presence.h"

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "fmt/format.h"
#include "proto/json_text.h"

namespace fifobus {
namespace {

void Publish(const ClientIdentity& client, std::string_view event,
             std::string_view reason, Router& router) {
  const absl::Time now = absl::Now();
  const std::string topic =
      fmt::format("$sys/clients/{}/{}", client.number, event);
  std::string json =
      fmt::format("{{\"number\":{},\"client_name\":", client.number);
  AppendJsonText(client.name, json);
  json += fmt::format(
      ",\"pid\":{},\"uid\":{},\"time\":\"{}\"", client.pid, client.uid,
      absl::FormatTime("%Y-%m-%dT%H:%M:%E9SZ", now, absl::UTCTimeZone()));
  if (!reason.empty()) {
    json += ",\"reason\":";
    AppendJsonText(reason, json);
  }
  json += '}';
  MessageFields fields;
  fields.topic = topic;
  fields.payload = json;
  fields.publish_time_unix_nanos =
      static_cast<uint64_t>(absl::ToUnixNanos(now));
  fields.content_type = "application/json";
  router.PublishOwn(fields);
}

}  // namespace

void PublishConnected(const ClientIdentity& client, Router& router) {
  Publish(client, "connected", "", router);
}

void PublishDisconnected(const ClientIdentity& client, std::string_view reason,
                         Router& router) {
  Publish(client, "disconnected", reason, router);
}

}  // namespace fifobus
