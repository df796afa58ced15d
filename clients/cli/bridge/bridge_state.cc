#include "clients/cli/bridge/bridge_state.h"

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
#include "broker/base/log.h"
#include "clients/cli/bridge/bridge_metrics.h"
#include "clients/cli/bridge/text.h"
#include "proto/frame_writer.h"

namespace fifobus::bridge {
namespace {

// Changes that follow each other in this time are published as one, and metrics
// are so old at most. Not tuned.
constexpr absl::Duration kChangesWait = absl::Milliseconds(200);

}  // namespace

BridgeState::BridgeState(const MapSurroundings& surroundings,
                         std::unique_ptr<Client> client,
                         std::shared_ptr<BridgeMetrics> metrics)
    : around_(surroundings),
      client_(std::move(client)),
      metrics_(std::move(metrics)),
      server_(Join(around_.config.nats.servers, ", ")),
      trouble_("not connected yet"),
      since_(absl::Now()) {}

BridgeState::~BridgeState() {
  if (client_ != nullptr) Publish("");
}

OwnedMessage BridgeState::WillOf(const BridgeConfig& config) {
  OwnedMessage will;
  will.topic = config.status_topic;
  will.retain = true;
  return will;
}

void BridgeState::OnLink(const LinkEvent& event) {
  next_ = Deadline::Now();
  switch (event.kind) {
    case LinkEvent::Kind::kConnected:
      LogInfo("connected to NATS", {{"server", event.text}});
      connected_ = true;
      ++connections_;
      server_ = event.text;
      trouble_.clear();
      since_ = absl::Now();
      publish_at_ = publish_from_;
      break;
    case LinkEvent::Kind::kDisconnected:
      LogWarning("NATS is not connected any more",
                 {{"server", server_}, {"why", event.text}});
      connected_ = false;
      trouble_ = event.text;
      since_ = absl::Now();
      publish_at_ = publish_from_;
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

BridgeState::Changed BridgeState::TellChanges(const Maps& maps) {
  Changed changed = Changed::kNo;
  told_.resize(maps.size(), Told{"", "", absl::Now()});
  for (size_t i = 0; i < maps.size(); ++i) {
    const std::string& map = maps[i]->config().name;
    Told& told = told_[i];
    std::string warning = maps[i]->warning();
    if (warning != told.warning) {
      if (!warning.empty()) {
        LogWarning("map may lose messages", {{"map", map}, {"why", warning}});
      }
      told.warning = std::move(warning);
      changed = Changed::kYes;
    }
    std::string trouble = maps[i]->trouble();
    if (trouble == told.trouble) continue;
    if (trouble.empty()) {
      LogInfo("map goes on", {{"map", map}});
    } else {
      LogWarning("map waits", {{"map", map}, {"why", trouble}});
    }
    told.trouble = std::move(trouble);
    told.since = absl::Now();
    changed = Changed::kYes;
  }
  // It moves with each measurement, so only its beginning and end are told.
  std::string clock = around_.clock.trouble();
  if (clock.empty() != clock_.empty()) {
    if (clock.empty()) {
      LogInfo("the clocks agree again", {});
    } else {
      LogWarning("a clock is off", {{"why", clock}});
    }
    changed = Changed::kYes;
  }
  clock_ = std::move(clock);
  return changed;
}

void BridgeState::Update(const Maps& maps) {
  if (TellChanges(maps) == Changed::kYes) publish_at_ = publish_from_;
  const bool publishes = client_ != nullptr && publish_at_.HasCome();
  if (metrics_ != nullptr && (publishes || next_.HasCome())) {
    metrics_->Set(Snapshot(maps));
  }
  if (publishes) {
    Publish(ToJson(Snapshot(maps)));
    publish_at_ = around_.config.state_interval;
    publish_from_ = kChangesWait;
  }
  if (metrics_ != nullptr && next_.HasCome()) next_ = kChangesWait;
  if (metrics_ == nullptr) next_ = Deadline::Never();
  if (client_ != nullptr) next_ = std::min(next_, publish_at_);
}

BridgeSnapshot BridgeState::Snapshot(const Maps& maps) const {
  BridgeSnapshot snapshot;
  snapshot.origin = around_.config.origin;
  snapshot.connected = connected_;
  snapshot.server = server_;
  snapshot.trouble = trouble_;
  snapshot.since = since_;
  snapshot.reconnects = connections_ > 0 ? connections_ - 1 : 0;
  snapshot.clock = clock_;
  snapshot.clock_ahead = around_.clock.ahead();
  for (size_t i = 0; i < maps.size(); ++i) {
    const MapConfig& config = maps[i]->config();
    BridgeSnapshot::Map map;
    map.name = config.name;
    map.pattern = config.pattern;
    map.stream = config.stream;
    map.reader = config.durable;
    map.is_out = config.is_out();
    map.counters = maps[i]->counters();
    map.dead = around_.dead_letters.counts(config.name);
    map.trouble = told_[i].trouble;
    map.since = told_[i].since;
    map.warning = told_[i].warning;
    snapshot.maps.push_back(std::move(map));
  }
  return snapshot;
}

void BridgeState::Publish(const std::string& payload) {
  MessageFields fields;
  fields.topic = around_.config.status_topic;
  fields.payload = payload;
  fields.content_type = "application/json";
  fields.retain = true;
  // Without a broker it is told next time.
  (void)client_->Publish(fields);
}

}  // namespace fifobus::bridge
