#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "clients/cli/bus_options.h"
#include "clients/cli/commands.h"
#include "clients/cli/inspect/bridge_view.h"
#include "clients/cli/inspect/bus_view.h"
#include "clients/cli/inspect/log_text.h"
#include "clients/cli/inspect/restart_text.h"
#include "clients/cli/inspect/stats_json.h"
#include "fmt/format.h"
#include "proto/frame.pb.h"
#include "proto/topic.h"

namespace fifobus::cli {
namespace {

using Queue = pb::StatsReply::Queue;

struct InfoOptions {
  BusOptions bus;
  std::string name;
  absl::Duration interval = absl::Seconds(1);
  bool json = false;
};

void Line(std::string_view title, std::string_view text) {
  fmt::print("  {:<12} {}\n", title, text);
}

std::string LossText(const Queue& queue) {
  std::string text = CountText(queue.dropped(), "message");
  const std::pair<const char*, uint64_t> reasons[] = {
      {"overflow", queue.dropped_overflow()},
      {"conflated", queue.dropped_conflated()},
      {"expired", queue.dropped_expired()},
      {"disconnected", queue.dropped_disconnected()},
  };
  for (const auto& [reason, messages] : reasons) {
    if (messages > 0) text += fmt::format(", {} {}", messages, reason);
  }
  return text;
}

void PrintQueue(const Queue& queue, double rate) {
  Line("delivered", fmt::format("{}, {}; now {:.1f}/s",
                                CountText(queue.delivered(), "message"),
                                BytesText(queue.delivered_bytes()), rate));
  Line("queue", fmt::format("{}, {}; when full: {}",
                            CountText(queue.queued_messages(), "message"),
                            BytesText(queue.queued_bytes()),
                            OverflowText(queue.overflow())));
  if (queue.pipe_bytes() > 0) {
    Line("pipe", fmt::format("{} of {} unread", BytesText(queue.unread_bytes()),
                             BytesText(queue.pipe_bytes())));
  }
  Line("lost", LossText(queue));
  Line("state",
       fmt::format("{}; {}{}", queue.stalled() ? "stalled" : "not stalled",
                   CountText(queue.stalls(), "stall"),
                   queue.stuck_millis() > 0 ? "; has read nothing for " +
                                                  AgeText(queue.stuck_millis())
                                            : ""));
  Line("holds up", CountText(queue.holds_up(), "publisher"));
}

void PrintSession(const BusView& view, const pb::StatsReply::Session& session) {
  const pb::StatsReply::Session& before = Before(view, session);
  fmt::print("{}\n", SessionText(session));
  const absl::Time since =
      absl::FromUnixNanos(static_cast<int64_t>(session.connected_unix_nanos()));
  Line("since",
       absl::FormatTime("%Y-%m-%d %H:%M:%S", since, absl::LocalTimeZone()));
  Line("process", ProcessTrouble(session.pid()).empty()
                      ? "runs"
                      : ProcessTrouble(session.pid()));
  Line("published",
       fmt::format("{}, {}; now {:.1f}/s",
                   CountText(session.published(), "message"),
                   BytesText(session.published_bytes()),
                   view.Rate(before.published(), session.published())));
  for (const std::string& pattern : session.patterns()) {
    Line("pattern", pattern);
  }
  PrintQueue(session.queue(), view.Rate(before.queue().delivered(),
                                        session.queue().delivered()));
}

void PrintTap(const BusView& view, const pb::StatsReply::Tap& tap) {
  fmt::print("tap {} (user {})\n", tap.name(), UserText(tap.uid()));
  std::string readers;
  for (const uint32_t pid :
       ReadersOf(fmt::format("{}/topics/{}", view.dir, tap.name()))) {
    readers += fmt::format("{}pid {}", readers.empty() ? "" : ", ", pid);
  }
  Line("read by", readers.empty() ? "nobody" : readers);
  uint64_t before = 0;
  for (const auto& other : view.before.taps()) {
    if (other.name() == tap.name()) before = other.queue().delivered();
  }
  PrintQueue(tap.queue(), view.Rate(before, tap.queue().delivered()));
}

void PrintGroup(const BusView& view, const pb::StatsReply::Group& group) {
  fmt::print("group {} of {}\n", group.name(), group.pattern());
  Line("members", fmt::format("{}", group.members()));
  if (group.acked()) {
    Line("unanswered", CountText(group.unacked(), "message"));
    Line("again", CountText(group.redelivered(), "message"));
    Line("given up", CountText(group.dead_lettered(), "message"));
  } else {
    Line("lost",
         CountText(group.taken_along(), "message") + " with members that left");
  }
  uint64_t before = 0;
  for (const auto& other : view.before.groups()) {
    if (other.name() == group.name() && other.pattern() == group.pattern()) {
      before = other.queue().delivered();
    }
  }
  PrintQueue(group.queue(), view.Rate(before, group.queue().delivered()));
}

void PrintTopic(const BusView& view, const pb::StatsReply::Topic& topic) {
  const pb::StatsReply::Topic& before = Before(view, topic);
  fmt::print("topic {}\n", topic.name());
  Line("published", fmt::format("{}, {}; now {:.1f}/s, {}/s",
                                CountText(topic.messages(), "message"),
                                BytesText(topic.bytes()),
                                view.Rate(before.messages(), topic.messages()),
                                BytesText(static_cast<uint64_t>(view.Rate(
                                    before.bytes(), topic.bytes())))));
  Line("to nobody", CountText(topic.no_subscriber(), "message"));
  if (topic.lines_refused() > 0) {
    Line("refused", CountText(topic.lines_refused(), "line") + " of its tap");
  }
  for (const uint64_t number : topic.publishers()) {
    Line("publisher", PublisherText(view.now, number));
  }
  if (const auto* log = LogOf(view.now, topic.name())) {
    Line("log", log->name());
  }
  const Receivers receivers = ReceiversOf(view.now, topic.name());
  for (const auto& [session, pattern] : receivers.sessions) {
    Line("subscriber", fmt::format("{} by {}", SessionText(*session), pattern));
  }
  for (const auto* group : receivers.groups) {
    Line("subscriber", fmt::format("group {} of {}, members: {}", group->name(),
                                   group->pattern(), group->members()));
  }
  for (const auto* tap : receivers.taps) {
    Line("subscriber", fmt::format("tap {}", tap->name()));
  }
}

// What a name stands for, all of it.
struct Found {
  pb::StatsReply::Topic unseen;  // one that only has subscribers
  std::vector<const pb::StatsReply::Topic*> topics;
  std::vector<const pb::StatsReply::Session*> sessions;
  std::vector<const pb::StatsReply::Tap*> taps;
  std::vector<const pb::StatsReply::Group*> groups;
  std::vector<const pb::StatsReply::Log*> logs;  // or of a reader of this name

  bool empty() const {
    return topics.empty() && sessions.empty() && taps.empty() &&
           groups.empty() && logs.empty();
  }
};

void FindIn(const pb::StatsReply& stats, const std::string& name,
            Found& found) {
  for (const auto& topic : stats.topics()) {
    if (topic.name() == name) found.topics.push_back(&topic);
  }
  for (const auto& session : stats.sessions()) {
    if (session.client_name() == name ||
        fmt::format("{}", session.number()) == name) {
      found.sessions.push_back(&session);
    }
  }
  for (const auto& tap : stats.taps()) {
    if (tap.name() == name) found.taps.push_back(&tap);
  }
  for (const auto& group : stats.groups()) {
    if (group.name() == name) found.groups.push_back(&group);
  }
  for (const auto& log : stats.logs()) {
    const bool reads =
        std::any_of(log.readers().begin(), log.readers().end(),
                    [&](const auto& reader) { return reader.name() == name; });
    if (log.name() == name || reads) found.logs.push_back(&log);
  }
  if (found.empty() && CheckTopic(name) == TopicFault::kNone &&
      ReceiversOf(stats, name).size() > 0) {
    found.unseen.set_name(name);
    found.topics.push_back(&found.unseen);
  }
}

std::string ListJson(const std::vector<std::string>& parts) {
  return fmt::format("[{}]", absl::StrJoin(parts, ","));
}

// As `ls --json`, but only what was found, and with rates.
std::string FoundJson(const BusView& view, const Found& found,
                      const std::vector<BridgeView>& bridges) {
  std::vector<std::string> topics;
  for (const auto* topic : found.topics) {
    const pb::StatsReply::Topic& before = Before(view, *topic);
    topics.push_back(PartJson(
        *topic,
        {{"messages_per_second",
          view.Rate(before.messages(), topic->messages())},
         {"bytes_per_second", view.Rate(before.bytes(), topic->bytes())}}));
  }
  std::vector<std::string> sessions;
  for (const auto* session : found.sessions) {
    const pb::StatsReply::Session& before = Before(view, *session);
    sessions.push_back(PartJson(
        *session,
        {{"published_per_second",
          view.Rate(before.published(), session->published())},
         {"delivered_per_second", view.Rate(before.queue().delivered(),
                                            session->queue().delivered())}}));
  }
  std::vector<std::string> taps;
  for (const auto* tap : found.taps) taps.push_back(PartJson(*tap, {}));
  std::vector<std::string> groups;
  for (const auto* group : found.groups) groups.push_back(PartJson(*group, {}));
  std::vector<std::string> logs;
  for (const auto* log : found.logs) {
    logs.push_back(PartJson(
        *log, {{"appended_per_second",
                view.Rate(Before(view, *log).appended(), log->appended())}}));
  }
  return fmt::format(
      R"({{"seconds":{},"topics":{},"sessions":{},"taps":{},"groups":{},"logs":{},"bridges":{}}})",
      view.seconds, ListJson(topics), ListJson(sessions), ListJson(taps),
      ListJson(groups), ListJson(logs), BridgesJson(bridges));
}

Exit Info(const InfoOptions& options) {
  auto client = ConnectClient(options.bus, "fifobus info");
  if (!client.ok()) return Fail(client.status());
  auto view = ViewBus(**client, options.bus.dir, options.interval);
  if (!view.ok()) return Fail(view.status());
  Found found;
  FindIn(view->now, options.name, found);
  std::vector<BridgeView> bridges = ViewBridges(**client, view->now);
  std::erase_if(bridges, [&](const BridgeView& bridge) {
    return bridge.origin != options.name;
  });
  if (found.empty() && bridges.empty()) {
    return Fail(absl::NotFoundError(fmt::format(
        "the bus knows no topic, client, tap, group, log, durable reader or "
        "bridge \"{}\"; see fifobus ls",
        options.name)));
  }
  if (options.json) {
    fmt::print("{}\n", FoundJson(*view, found, bridges));
    return kDone;
  }
  for (const auto* topic : found.topics) PrintTopic(*view, *topic);
  for (const auto* session : found.sessions) PrintSession(*view, *session);
  for (const auto* tap : found.taps) PrintTap(*view, *tap);
  for (const auto* group : found.groups) PrintGroup(*view, *group);
  for (const auto* log : found.logs) fmt::print("{}", LogLines(*view, *log));
  for (const BridgeView& bridge : bridges) {
    fmt::print("{}", BridgeLines(bridge, absl::Now()));
  }
  fmt::print("{}", RestartSentences(view->now));
  return kDone;
}

}  // namespace

void AddInfo(Command& program) {
  Command& info = program.Add(
      "info",
      "all about one topic, client, tap, group, log or bridge, with rates");
  auto options = std::make_shared<InfoOptions>();
  options->bus.AddTo(info);
  info.AddText("NAME", options->name,
               "a topic, a client's name or its session's number, a tap "
               "(greetings.out/me), a group, a log, a durable reader, a bridge")
      .Required();
  info.AddInterval(options->interval, "what rates are measured over [1s]");
  info.AddFlag("--json", options->json, "one JSON object");
  info.Explain(
      "Of clients that share a name all are shown. The lines below \"state\" "
      "say whether a subscriber is too slow: for how long it has read "
      "nothing, and how many publishers wait for it.\n\n"
      "Examples:\n"
      "  fifobus info sensors/kitchen/temp\n"
      "  fifobus info 'fifobus sub' --interval 5s\n"
      "  fifobus info 'fifobus sub' --json");
  info.OnRun([options] { return Info(*options); });
}

}  // namespace fifobus::cli
