#include <cstdio>
#include <memory>
#include <string>

#include "clients/cli/command.h"
#include "fmt/format.h"
#include "nlohmann/json.hpp"
#include "proto/frame.pb.h"

namespace fifobus::cli {
namespace {

struct LsOptions {
  BusOptions bus;
  bool json = false;
};

using Json = nlohmann::ordered_json;

Json QueueJson(const pb::StatsReply::Queue& queue) {
  return {{"queued_bytes", queue.queued_bytes()},
          {"dropped", queue.dropped()},
          {"stalled", queue.stalled()}};
}

Json StatsJson(const pb::StatsReply& stats) {
  Json json = {{"topics", Json::array()},
               {"sessions", Json::array()},
               {"taps", Json::array()},
               {"counters", Json::object()}};
  for (const auto& topic : stats.topics()) {
    json["topics"].push_back({{"name", topic.name()},
                              {"messages", topic.messages()},
                              {"bytes", topic.bytes()},
                              {"no_subscriber", topic.no_subscriber()},
                              {"subscribers", topic.subscribers()}});
  }
  for (const auto& session : stats.sessions()) {
    json["sessions"].push_back({{"number", session.number()},
                                {"client_name", session.client_name()},
                                {"pid", session.pid()},
                                {"published", session.published()},
                                {"patterns", Json(session.patterns())},
                                {"queue", QueueJson(session.queue())}});
  }
  for (const auto& tap : stats.taps()) {
    json["taps"].push_back(
        {{"name", tap.name()}, {"queue", QueueJson(tap.queue())}});
  }
  for (const auto& counter : stats.counters()) {
    json["counters"][counter.name()] = counter.value();
  }
  return json;
}

std::string QueueText(const pb::StatsReply::Queue& queue) {
  return fmt::format("{:>10} {:>10} {}", queue.queued_bytes(), queue.dropped(),
                     queue.stalled() ? "stalled" : "");
}

void PrintTables(const pb::StatsReply& stats) {
  fmt::print("{:<40} {:>10} {:>12} {:>11} {:>13}\n", "TOPIC", "MESSAGES",
             "BYTES", "SUBSCRIBERS", "NO_SUBSCRIBER");
  for (const auto& topic : stats.topics()) {
    fmt::print("{:<40} {:>10} {:>12} {:>11} {:>13}\n", topic.name(),
               topic.messages(), topic.bytes(), topic.subscribers(),
               topic.no_subscriber());
  }
  fmt::print("\n{:<8} {:<24} {:>8} {:>10} {:>10} {:>10} PATTERNS\n", "SESSION",
             "CLIENT", "PID", "PUBLISHED", "QUEUED", "DROPPED");
  for (const auto& session : stats.sessions()) {
    std::string patterns;
    for (const auto& pattern : session.patterns()) patterns += pattern + " ";
    fmt::print("{:<8} {:<24} {:>8} {:>10} {} {}\n", session.number(),
               session.client_name(), session.pid(), session.published(),
               QueueText(session.queue()), patterns);
  }
  fmt::print("\n{:<40} {:>10} {:>10}\n", "TAP", "QUEUED", "DROPPED");
  for (const auto& tap : stats.taps()) {
    fmt::print("{:<40} {}\n", tap.name(), QueueText(tap.queue()));
  }
}

Exit Ls(const LsOptions& options) {
  auto client = ConnectClient(options.bus, "fifobus ls");
  if (!client.ok()) return Fail(client.status());
  const auto stats = (*client)->Stats();
  if (!stats.ok()) return Fail(stats.status());
  if (options.json) {
    fmt::print("{}\n", StatsJson(*stats).dump());
  } else {
    PrintTables(*stats);
  }
  return kDone;
}

}  // namespace

void AddLs(CLI::App& app, Exit& exit) {
  CLI::App& ls = *app.add_subcommand(
      "ls", "list topics, sessions and taps with their queues and drops");
  auto options = std::make_shared<LsOptions>();
  options->bus.AddTo(ls);
  ls.add_flag("--json", options->json, "one JSON object, with all counters");
  ls.callback([options, &exit] { exit = Ls(*options); });
}

}  // namespace fifobus::cli
