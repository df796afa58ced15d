#include <cstdio>
#include <memory>
#include <string>
#include <string_view>

#include "clients/cli/command.h"
#include "clients/cli/manual.h"
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

std::string_view OverflowText(pb::Overflow overflow) {
  switch (overflow) {
    case pb::OVERFLOW_DROP_NEWEST:
      return "drop-newest";
    case pb::OVERFLOW_LATEST:
      return "latest";
    case pb::OVERFLOW_DISCONNECT:
      return "disconnect";
    case pb::OVERFLOW_BLOCK:
      return "block";
    default:
      return "drop-oldest";
  }
}

Json QueueJson(const pb::StatsReply::Queue& queue) {
  return {{"queued_bytes", queue.queued_bytes()},
          {"queued_messages", queue.queued_messages()},
          {"dropped", queue.dropped()},
          {"stalled", queue.stalled()},
          {"overflow", OverflowText(queue.overflow())}};
}

Json StatsJson(const pb::StatsReply& stats) {
  Json json = {{"topics", Json::array()},
               {"sessions", Json::array()},
               {"taps", Json::array()},
               {"groups", Json::array()},
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
  for (const auto& group : stats.groups()) {
    json["groups"].push_back({{"name", group.name()},
                              {"pattern", group.pattern()},
                              {"members", group.members()},
                              {"queue", QueueJson(group.queue())},
                              {"acked", group.acked()},
                              {"unacked", group.unacked()},
                              {"redelivered", group.redelivered()},
                              {"dead_lettered", group.dead_lettered()}});
  }
  for (const auto& counter : stats.counters()) {
    json["counters"][counter.name()] = counter.value();
  }
  return json;
}

std::string QueueText(const pb::StatsReply::Queue& queue) {
  return fmt::format("{:>8} {:>10} {:>10} {:<11} {}", queue.queued_messages(),
                     queue.queued_bytes(), queue.dropped(),
                     OverflowText(queue.overflow()),
                     queue.stalled() ? "stalled" : "");
}

constexpr char kQueueTitles[] = "  QUEUED      BYTES    DROPPED OVERFLOW   ";

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
      "ls",
      "list topics, sessions, groups and taps with their queues and drops");
  auto options = std::make_shared<LsOptions>();
  options->bus.AddTo(ls);
  ls.add_flag("--json", options->json, "one JSON object, with all counters");
  Explain(ls,
          "Examples:\n"
          "  fifobus ls\n"
          "  fifobus ls --json | python3 -m json.tool");
  ls.callback([options, &exit] { exit = Ls(*options); });
}

}  // namespace fifobus::cli
