#include "clients/cli/inspect/restart_text.h"

#include <cstdint>
#include <string_view>

#include "clients/cli/inspect/bus_view.h"
#include "fmt/format.h"

namespace fifobus::cli {
namespace {

// 0 also of a broker that is older than the counter.
uint64_t Count(const pb::StatsReply& stats, std::string_view name) {
  for (const auto& counter : stats.counters()) {
    if (counter.name() == name) return counter.value();
  }
  return 0;
}

struct Restarts {
  explicit Restarts(const pb::StatsReply& stats)
      : deaths(Count(stats, "broker_restarts")),
        upgrades(Count(stats, "broker_upgrades")),
        resent(Count(stats, "messages_resent")) {}

  uint64_t deaths;
  uint64_t upgrades;
  uint64_t resent;
};

std::string Times(uint64_t count) {
  return count == 1 ? "once" : CountText(count, "time");
}

}  // namespace

std::string RestartTable(const pb::StatsReply& stats) {
  const Restarts restarts(stats);
  return fmt::format("\n{:>8} {:>8} {:>12}\n{:>8} {:>8} {:>12}\n", "RESTARTS",
                     "UPGRADES", "RESENT", restarts.deaths, restarts.upgrades,
                     restarts.resent);
}

std::string RestartSentences(const pb::StatsReply& stats) {
  const Restarts restarts(stats);
  std::string text;
  if (restarts.deaths > 0) {
    text += fmt::format(
        "The broker has died {}; what it had read and not passed on, and no "
        "log had stored, is lost.\n",
        Times(restarts.deaths));
  }
  if (restarts.upgrades > 0) {
    text += fmt::format("The broker was upgraded {}, which loses nothing.\n",
                        Times(restarts.upgrades));
  }
  if (restarts.resent > 0) {
    text += fmt::format(
        "Clients have published {} again that a broker before this one had "
        "not read.\n",
        CountText(restarts.resent, "message"));
  }
  return text;
}

}  // namespace fifobus::cli
