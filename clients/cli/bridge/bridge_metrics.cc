#include "clients/cli/bridge/bridge_metrics.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "absl/time/time.h"
#include "clients/cli/inspect/families.h"
#include "clients/cpp/client.h"
#include "proto/frame.pb.h"

namespace fifobus::bridge {
namespace {

using cli::Families;

// As of `fifobus metrics`: less than a scraper's own patience.
constexpr absl::Duration kAnswerPatience = absl::Seconds(2);

void AddMap(const std::string& origin, const BridgeSnapshot::Map& map,
            Families& families) {
  const MapCounters& counters = map.counters;
  const Families::Labels labels = {{"bridge", origin},
                                   {"map", map.name},
                                   {"direction", map.is_out ? "out" : "in"}};
  const auto count = [&](const char* name, const char* help, uint64_t value) {
    families.Count(name, help, labels, value);
  };
  count("bridge_forwarded_messages_total",
        "Messages that the other side has taken.", counters.passed);
  count("bridge_duplicate_messages_total",
        "Messages that the other side had already.", counters.duplicates);
  count("bridge_resent_messages_total", "Messages that were sent once more.",
        counters.resent);
  count("bridge_returned_messages_total",
        "Messages that came over a bridge and went no further.",
        counters.returned);
  count("bridge_dropped_messages_total",
        "Live messages that were dropped, for lack of a connection or of room.",
        counters.dropped);
  count("bridge_missed_messages_total",
        "Messages that the bus did not keep until they were read.",
        counters.missed);
  families.Gauge("bridge_in_flight_messages",
                 "Messages that are on their way and not acknowledged.", labels,
                 counters.in_flight);
  families.Gauge("bridge_map_waits", "1 if something keeps the map from work.",
                 labels, map.trouble.empty() ? 0 : 1);
  if (counters.behind) {
    families.Gauge("bridge_behind_messages",
                   "Messages that the other side does not have yet.", labels,
                   *counters.behind);
  }
  for (const auto& [reason, messages] : map.dead) {
    Families::Labels with_reason = labels;
    with_reason.push_back({"reason", reason});
    families.Count("bridge_dead_letters_total",
                   "Messages that were set aside, by reason.", with_reason,
                   messages);
  }
}

}  // namespace

void BridgeMetrics::Set(BridgeSnapshot snapshot) {
  MutexLock lock(mutex_);
  snapshot_ = std::move(snapshot);
}

void BridgeMetrics::AskLags(BridgeSnapshot& snapshot) const {
  ClientOptions soon = bus_;
  soon.connect_timeout = std::min(bus_.connect_timeout, kAnswerPatience);
  const auto client = Client::Connect(std::move(soon));
  if (!client.ok()) return;
  const auto stats = (*client)->Stats(kAnswerPatience);
  if (!stats.ok()) return;
  std::map<std::string, uint64_t> lags;
  for (const auto& log : stats->logs()) {
    for (const auto& reader : log.readers()) {
      lags[reader.name()] = reader.lag();
    }
  }
  for (BridgeSnapshot::Map& map : snapshot.maps) {
    const auto found = lags.find(map.reader);
    if (found != lags.end()) map.counters.behind = found->second;
  }
}

std::vector<prometheus::MetricFamily> BridgeMetrics::Collect() const {
  BridgeSnapshot snapshot;
  {
    MutexLock lock(mutex_);
    snapshot = snapshot_;
  }
  AskLags(snapshot);
  Families families;
  const Families::Labels labels = {{"bridge", snapshot.origin}};
  families.Gauge("bridge_connected", "1 if NATS is connected.", labels,
                 snapshot.connected ? 1 : 0);
  families.Count("bridge_reconnects_total",
                 "Connections to NATS after the first one.", labels,
                 snapshot.reconnects);
  families.Gauge("bridge_clock_off",
                 "1 if the clock and the NATS server's do not agree.", labels,
                 snapshot.clock.empty() ? 0 : 1);
  for (const BridgeSnapshot::Map& map : snapshot.maps) {
    AddMap(snapshot.origin, map, families);
  }
  return families.Take();
}

}  // namespace fifobus::bridge
