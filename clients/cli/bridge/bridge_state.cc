#include "clients/cli/bridge/bridge_state.h"

#include <utility>

#include "absl/time/clock.h"
#include "broker/base/log.h"
#include "nlohmann/json.hpp"
#include "proto/frame_writer.h"

namespace fifobus::bridge {

BridgeState::BridgeState(const BridgeConfig& config,
                         std::unique_ptr<Client> client)
    : config_(config),
      client_(std::move(client)),
      trouble_("not connected yet"),
      since_(absl::Now()) {}

void BridgeState::OnLink(const LinkEvent& event) {
  switch (event.kind) {
    case LinkEvent::Kind::kConnected:
      LogInfo("connected to NATS", {{"server", event.text}});
      server_ = event.text;
      trouble_.clear();
      since_ = absl::Now();
      break;
    case LinkEvent::Kind::kDisconnected:
      LogWarning("NATS is not connected any more",
                 {{"server", server_}, {"why", event.text}});
      server_.clear();
      trouble_ = event.text;
      since_ = absl::Now();
      break;
    case LinkEvent::Kind::kFailed:
      // One line for an outage, not for each attempt.
      if (trouble_ != event.text) {
        LogWarning("NATS cannot be connected to", {{"why", event.text}});
      }
      trouble_ = event.text;
      break;
    case LinkEvent::Kind::kError:
      if (trouble_ != event.text) {
        LogWarning("NATS refuses something", {{"why", event.text}});
      }
      trouble_ = event.text;
      break;
    case LinkEvent::Kind::kLost:
      LogWarning("messages of NATS found no room", {{"messages", event.lost}});
      break;
    case LinkEvent::Kind::kMessage:
      break;
  }
}

void BridgeState::Update(const Maps& maps) {
  told_.resize(maps.size(), Told{"", absl::Now()});
  for (size_t i = 0; i < maps.size(); ++i) {
    std::string trouble = maps[i]->trouble();
    if (trouble == told_[i].trouble) continue;
    if (trouble.empty()) {
      LogInfo("map goes on", {{"map", maps[i]->config().name}});
    } else {
      LogWarning("map waits",
                 {{"map", maps[i]->config().name}, {"why", trouble}});
    }
    told_[i] = {std::move(trouble), absl::Now()};
  }
  if (client_ == nullptr) {
    next_ = Deadline::Never();
    return;
  }
  if (!next_.HasCome()) return;
  Publish(maps);
  next_ = config_.state_interval;
}

std::string BridgeState::Json(const Maps& maps) const {
  using Json = nlohmann::ordered_json;
  const auto text = [](absl::Time time) {
    return absl::FormatTime(absl::RFC3339_sec, time, absl::UTCTimeZone());
  };
  Json all = {{"origin", config_.origin},
              {"server", server_},
              {"trouble", trouble_},
              {"since", text(since_)},
              {"maps", Json::array()}};
  for (size_t i = 0; i < maps.size(); ++i) {
    const MapCounters counters = maps[i]->counters();
    all["maps"].push_back({{"map", maps[i]->config().name},
                           {"passed", counters.passed},
                           {"in_flight", counters.in_flight},
                           {"set_aside", counters.set_aside},
                           {"returned", counters.returned},
                           {"resent", counters.resent},
                           {"duplicates", counters.duplicates},
                           {"dropped", counters.dropped},
                           {"missed", counters.missed},
                           {"trouble", told_[i].trouble},
                           {"since", text(told_[i].since)}});
  }
  // A server's words may be no UTF-8.
  return all.dump(-1, ' ', false, Json::error_handler_t::replace);
}

void BridgeState::Publish(const Maps& maps) {
  const std::string json = Json(maps);
  MessageFields fields;
  fields.topic = config_.status_topic;
  fields.payload = json;
  fields.content_type = "application/json";
  fields.retain = true;
  // Without a broker it is told next time.
  (void)client_->Publish(fields);
}

}  // namespace fifobus::bridge
