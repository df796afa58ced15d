#include <cstdio>
#include <memory>
#include <string>

#include "absl/time/clock.h"
#include "clients/cli/bus_options.h"
#include "clients/cli/commands.h"
#include "clients/cli/inspect/bridge_view.h"
#include "clients/cli/inspect/bus_view.h"
#include "clients/cli/inspect/log_text.h"
#include "clients/cli/inspect/restart_text.h"
#include "clients/cli/inspect/stats_json.h"
#include "fmt/format.h"
#include "proto/frame.pb.h"

namespace fifobus::cli {
namespace {

struct LsOptions {
  BusOptions bus;
  bool json = false;
};

// What is wrong with a subscriber, if anything is.
std::string TroubleText(const pb::StatsReply::Queue& queue) {
  std::string text = queue.stalled() ? "stalled" : "";
  if (queue.stuck_millis() >= kStuckMillis) {
    text += fmt::format("{}stuck {}", text.empty() ? "" : ", ",
                        AgeText(queue.stuck_millis()));
  }
  return text;
}

std::string QueueText(const pb::StatsReply::Queue& queue) {
  return fmt::format("{:>8} {:>10} {:>10} {:<11} {:<20}",
                     queue.queued_messages(), queue.queued_bytes(),
                     queue.dropped(), OverflowText(queue.overflow()),
                     TroubleText(queue));
}

constexpr char kQueueTitles[] =
    "  QUEUED      BYTES    DROPPED OVERFLOW    STATE               ";

void PrintGroups(const pb::StatsReply& stats) {
  fmt::print("\n{:<24} {:>7} {:>7} {:>11} {:>5} {} PATTERN\n", "GROUP",
             "MEMBERS", "UNACKED", "REDELIVERED", "DEAD", kQueueTitles);
  for (const auto& group : stats.groups()) {
    fmt::print("{:<24} {:>7} {:>7} {:>11} {:>5} {} {}\n", group.name(),
               group.members(), group.unacked(), group.redelivered(),
               group.dead_lettered(), QueueText(group.queue()),
               group.pattern());
  }
}

void PrintTables(const pb::StatsReply& stats) {
  fmt::print("{:<40} {:>10} {:>12} {:>11} {:>13}\n", "TOPIC", "MESSAGES",
             "BYTES", "SUBSCRIBERS", "NO_SUBSCRIBER");
  for (const auto& topic : stats.topics()) {
    fmt::print("{:<40} {:>10} {:>12} {:>11} {:>13}\n", topic.name(),
               topic.messages(), topic.bytes(), topic.subscribers(),
               topic.no_subscriber());
  }
  fmt::print("\n{:<8} {:<24} {:>8} {:>10} {} PATTERNS\n", "SESSION", "CLIENT",
             "PID", "PUBLISHED", kQueueTitles);
  for (const auto& session : stats.sessions()) {
    std::string patterns;
    for (const auto& pattern : session.patterns()) patterns += pattern + " ";
    fmt::print("{:<8} {:<24} {:>8} {:>10} {} {}\n", session.number(),
               session.client_name(), session.pid(), session.published(),
               QueueText(session.queue()), patterns);
  }
  if (stats.groups_size() > 0) PrintGroups(stats);
  fmt::print("\n{:<40} {}\n", "TAP", kQueueTitles);
  for (const auto& tap : stats.taps()) {
    fmt::print("{:<40} {}\n", tap.name(), QueueText(tap.queue()));
  }
  fmt::print("{}", LogTables(stats));
}

Exit Ls(const LsOptions& options) {
  auto client = ConnectClient(options.bus, "fifobus ls");
  if (!client.ok()) return Fail(client.status());
  const auto stats = (*client)->Stats();
  if (!stats.ok()) return Fail(stats.status());
  if (options.json) {
    std::string json = StatsJson(*stats);
    // Behind its own members, before the last brace.
    json.insert(json.size() - 1,
                fmt::format(R"(,"bridges":{})",
                            BridgesJson(ViewBridges(**client, *stats))));
    fmt::print("{}\n", json);
  } else {
    PrintTables(*stats);
    fmt::print("{}", BridgeTables(ViewBridges(**client, *stats), absl::Now()));
    fmt::print("{}", RestartTable(*stats));
  }
  return kDone;
}

}  // namespace

void AddLs(Command& program) {
  Command& ls = program.Add("ls",
                            "list topics, sessions, groups, taps, logs and "
                            "bridges with their queues, "
                            "drops and readers, and how often the broker was "
                            "restarted");
  auto options = std::make_shared<LsOptions>();
  options->bus.AddTo(ls);
  ls.AddFlag("--json", options->json, "one JSON object, with all counters");
  ls.Explain(
      "Examples:\n"
      "  fifobus ls\n"
      "  fifobus ls --json | python3 -m json.tool");
  ls.OnRun([options] { return Ls(*options); });
}

}  // namespace fifobus::cli
