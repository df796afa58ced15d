#include "clients/cli/bridge/bridge.h"

#include <poll.h>

#include <algorithm>
#include <utility>

#include "broker/base/log.h"
#include "clients/cli/attend.h"
#include "clients/cli/bridge/live_in.h"
#include "clients/cli/bridge/live_out.h"
#include "clients/cli/bridge/log_out.h"
#include "clients/cli/bridge/retained_in.h"
#include "clients/cli/bridge/retained_out.h"
#include "clients/cli/bridge/stream_in.h"
#include "clients/cli/bridge/text.h"

namespace fifobus::bridge {
Bridge::Bridge(const BridgeConfig& config, std::unique_ptr<Client> dead_client,
               std::unique_ptr<Client> status_client,
               std::shared_ptr<BridgeMetrics> metrics)
    : config_(config),
      inbox_(Concat(config_.nats.inbox_prefix, ".", UniqueToken())),
      dead_letters_(std::move(dead_client), config_.dead_topic, config_.origin),
      surroundings_{config_, sender_, dead_letters_, clock_},
      state_(surroundings_, std::move(status_client), std::move(metrics)) {}

absl::StatusOr<std::unique_ptr<Bridge>> Bridge::Open(
    const BridgeConfig& config, const ClientOptions& options,
    std::shared_ptr<BridgeMetrics> metrics) {
  ClientOptions dead_options = options;
  dead_options.client_name += " set aside";
  auto dead_client = Client::Connect(std::move(dead_options));
  if (!dead_client.ok()) return dead_client.status();
  std::unique_ptr<Client> status_client;
  if (!config.status_topic.empty()) {
    ClientOptions status_options = options;
    status_options.will = BridgeState::WillOf(config);
    auto client = Client::Connect(std::move(status_options));
    if (!client.ok()) return client.status();
    status_client = *std::move(client);
    status_client->set_mode(Mode::kNonBlocking);
  }
  std::unique_ptr<Bridge> bridge(new Bridge(config, *std::move(dead_client),
                                            std::move(status_client),
                                            std::move(metrics)));
  const absl::Status status = bridge->OpenMaps(options);
  if (!status.ok()) return status;
  return bridge;
}

std::string Bridge::InboxOf(size_t map) const {
  return Concat(inbox_, ".", map);
}

absl::StatusOr<std::unique_ptr<BridgeMap>> Bridge::OpenMap(
    const MapConfig& config, size_t index, ClientOptions options) {
  options.client_name =
      Concat("fifobus bridge ", config_.origin, " ", config.name);
  switch (config.kind) {
    case MapKind::kLogOut:
      return LogOut::Open(surroundings_, config, InboxOf(index),
                          std::move(options));
    case MapKind::kLiveOut:
      return LiveOut::Open(surroundings_, config, InboxOf(index),
                           std::move(options));
    case MapKind::kRetainedOut:
      return RetainedOut::Open(surroundings_, config, InboxOf(index),
                               std::move(options));
    case MapKind::kRetainedIn:
      return RetainedIn::Open(surroundings_, config, InboxOf(index),
                              std::move(options));
    case MapKind::kStreamIn:
      return StreamIn::Open(surroundings_, config, InboxOf(index),
                            std::move(options));
    case MapKind::kLiveIn:
      break;
  }
  return LiveIn::Open(surroundings_, config, std::move(options));
}

absl::Status Bridge::OpenMaps(const ClientOptions& options) {
  std::vector<std::string> subjects = {Concat(inbox_, ".*.>")};
  for (size_t i = 0; i < config_.maps.size(); ++i) {
    auto map = OpenMap(config_.maps[i], i, options);
    if (!map.ok()) {
      return absl::Status(
          map.status().code(),
          Concat(config_.maps[i].name, ": ", MessageOf(map.status())));
    }
    maps_.push_back(*std::move(map));
    const std::string subject = maps_.back()->subject();
    if (!subject.empty()) {
      subscribed_maps_.push_back(i);
      subjects.push_back(subject);
    }
  }
  // Last: the maps know what comes.
  auto link = NatsLink::Start(config_.nats, std::move(subjects));
  if (!link.ok()) return link.status();
  sender_.link = *std::move(link);
  return absl::OkStatus();
}

void Bridge::TakeMessage(LinkEvent event) {
  if (event.subject > 0) {
    maps_[subscribed_maps_[event.subject - 1]]->OnNats(
        "", std::move(event.message));
    return;
  }
  // "INBOX.MAP.TOKEN"
  const std::string subject = event.message.subject;
  std::string_view rest = subject;
  if (rest.size() <= inbox_.size() + 1) return;
  rest.remove_prefix(inbox_.size() + 1);
  const size_t dot = rest.find('.');
  const auto map = ReadNumber(rest.substr(0, dot));
  if (dot == std::string_view::npos || !map || *map >= maps_.size()) return;
  maps_[*map]->OnNats(rest.substr(dot + 1), std::move(event.message));
}

void Bridge::TakeEvents() {
  for (LinkEvent& event : sender_.link->Take()) {
    if (event.kind == LinkEvent::Kind::kMessage) {
      TakeMessage(std::move(event));
      continue;
    }
    state_.OnLink(event);
    for (const auto& map : maps_) {
      if (event.kind == LinkEvent::Kind::kConnected) {
        map->OnConnected(event.payload_bytes_max);
      } else if (event.kind == LinkEvent::Kind::kDisconnected) {
        map->OnDisconnected();
      }
    }
  }
}

absl::Status Bridge::MapStatus() const {
  for (const auto& map : maps_) {
    const absl::Status status = map->status();
    if (status.ok()) continue;
    return absl::Status(status.code(),
                        Concat(map->config().name, ": ", MessageOf(status)));
  }
  return absl::OkStatus();
}

void Bridge::WorkOnce(const UniqueFd& signals) {
  std::vector<pollfd> polled = {{signals.get(), POLLIN, 0},
                                {sender_.link->fd(), POLLIN, 0}};
  Deadline next = state_.next_time();
  for (const auto& map : maps_) {
    polled.push_back({map->bus_fd(), POLLIN, 0});
    next = std::min(next, map->next_time());
  }
  cli::PollUntil(polled, next);
  if (polled[1].revents != 0) TakeEvents();
  for (size_t i = 0; i < maps_.size(); ++i) {
    if (polled[i + 2].revents != 0) maps_[i]->OnBus();
    if (maps_[i]->next_time().HasCome()) maps_[i]->OnTime();
  }
  state_.Update(maps_);
}

absl::Status Bridge::Run(const UniqueFd& signals) {
  LogInfo("bridge ready", {{"origin", config_.origin}, {"maps", maps_.size()}});
  absl::Status status;
  while (status.ok()) {
    WorkOnce(signals);
    status = MapStatus();
    pollfd ended = {signals.get(), POLLIN, 0};
    if (poll(&ended, 1, 0) > 0) break;
  }
  LogInfo("bridge ends", {{"origin", config_.origin}});
  return status;
}

}  // namespace fifobus::bridge
