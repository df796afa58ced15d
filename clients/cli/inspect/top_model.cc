#include "clients/cli/inspect/top_model.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <string_view>
#include <utility>

#include "clients/cli/inspect/log_text.h"
#include "fmt/format.h"

namespace fifobus::cli {
namespace {

using Queue = pb::StatsReply::Queue;

// The first column is the name: it is wide enough to be told apart.
constexpr size_t kNameWidth = 12;

TopCell Text(std::string_view text) { return {std::string(text), 0}; }
TopCell Number(uint64_t number) {
  return {fmt::format("{}", number), static_cast<double>(number)};
}
TopCell Rate(double rate) { return {fmt::format("{:.0f}", rate), rate}; }

bool IsInTrouble(const Queue& queue) {
  return queue.stalled() || queue.stuck_millis() >= kStuckMillis;
}

TopCell Trouble(const Queue& queue) {
  TopCell cell = Text(queue.stalled() ? "stalled" : "");
  if (queue.stuck_millis() >= kStuckMillis) {
    cell.text += fmt::format("{}stuck {}", cell.text.empty() ? "" : " ",
                             AgeText(queue.stuck_millis()));
  }
  return cell;
}

TopTable Topics(const BusView& view) {
  TopTable table;
  table.columns = {{"TOPIC", kNameWidth, true},
                   {"MSGS/S", 9},
                   {"BYTES/S", 11},
                   {"SUBS", 5},
                   {"NOBODY/S", 9},
                   {"MESSAGES", 12}};
  std::map<std::string_view, const pb::StatsReply::Topic*> before;
  for (const auto& topic : view.before.topics()) before[topic.name()] = &topic;
  for (const auto& topic : view.now.topics()) {
    const auto found = before.find(topic.name());
    const auto& then = found == before.end()
                           ? pb::StatsReply::Topic::default_instance()
                           : *found->second;
    table.rows.push_back(
        {{Text(topic.name()),
          Rate(view.Rate(then.messages(), topic.messages())),
          Rate(view.Rate(then.bytes(), topic.bytes())),
          Number(topic.subscribers()),
          Rate(view.Rate(then.no_subscriber(), topic.no_subscriber())),
          Number(topic.messages())}});
  }
  return table;
}

void AddClient(const BusView& view, std::string name, TopCell pid,
               double published, const Queue& then, const Queue& queue,
               TopTable& table) {
  table.rows.push_back(
      {{Text(name), std::move(pid), Trouble(queue),
        Number(queue.queued_messages()), Number(queue.queued_bytes()),
        Rate(view.Rate(then.dropped(), queue.dropped())), Rate(published),
        Rate(view.Rate(then.delivered(), queue.delivered())),
        Number(queue.dropped()), Number(queue.stalls()),
        Text(OverflowText(queue.overflow()))},
       IsInTrouble(queue)});
}

TopTable Clients(const BusView& view) {
  TopTable table;
  table.columns = {{"CLIENT", kNameWidth, true},
                   {"PID", 7, false, true},
                   {"STATE", 19, true},
                   {"QUEUED", 8},
                   {"BYTES", 9},
                   {"LOST/S", 8},
                   {"PUB/S", 8},
                   {"GOT/S", 8},
                   {"LOST", 9},
                   {"STALLS", 6},
                   {"OVERFLOW", 11, true}};
  std::map<std::string, Queue> before;
  for (const auto& tap : view.before.taps()) {
    before["tap " + tap.name()] = tap.queue();
  }
  const auto group_name = [](const pb::StatsReply::Group& group) {
    return fmt::format("group {} of {}", group.name(), group.pattern());
  };
  for (const auto& group : view.before.groups()) {
    before[group_name(group)] = group.queue();
  }
  for (const auto& session : view.now.sessions()) {
    const auto& then = Before(view, session);
    AddClient(
        view, fmt::format("{} {}", session.number(), session.client_name()),
        Number(session.pid()), view.Rate(then.published(), session.published()),
        then.queue(), session.queue(), table);
  }
  for (const auto& tap : view.now.taps()) {
    const std::string name = "tap " + tap.name();
    AddClient(view, name, Text("-"), 0, before[name], tap.queue(), table);
  }
  for (const auto& group : view.now.groups()) {
    const std::string name = group_name(group);
    AddClient(view, name, Text("-"), 0, before[name], group.queue(), table);
  }
  return table;
}

TopTable CountersOf(const BusView& view) {
  TopTable table;
  table.columns = {
      {"COUNTER", kNameWidth, true}, {"A SECOND", 10}, {"ALL", 14}};
  std::map<std::string_view, uint64_t> before;
  for (const auto& counter : view.before.counters()) {
    before[counter.name()] = counter.value();
  }
  for (const auto& counter : view.now.counters()) {
    table.rows.push_back(
        {{Text(counter.name()),
          Rate(view.Rate(before[counter.name()], counter.value())),
          Number(counter.value())}});
  }
  return table;
}

// Each log, and below its name its durable readers.
TopTable Logs(const BusView& view) {
  TopTable table;
  table.columns = {{"LOG", kNameWidth, true},
                   {"STATE", 14, true},
                   {"LAG", 10},
                   {"MSGS/S", 9},
                   {"OFFSET", 12},
                   {"MESSAGES", 10},
                   {"BYTES", 12},
                   {"BACKLOG", 9},
                   {"HOLDS_UP", 8},
                   {"SESSIONS", 8}};
  for (const auto& log : view.now.logs()) {
    table.rows.push_back(
        {{Text(log.name()), Text(LogState(log)), Text("-"),
          Rate(view.Rate(Before(view, log).appended(), log.appended())),
          Number(log.next_offset()),
          Number(log.next_offset() - log.first_offset()), Number(log.bytes()),
          Number(log.backlog_bytes()), Number(log.holds_up()),
          Number(log.replay_readers())},
         !log.trouble().empty()});
    for (const auto& reader : log.readers()) {
      const uint64_t then = Before(view, log, reader).position();
      table.rows.push_back(
          {{Text(fmt::format("{} {}", log.name(), reader.name())),
            Text(ReaderState(reader)), Number(reader.lag()),
            Rate(view.Rate(then, reader.position())), Number(reader.position()),
            Text("-"), Text("-"), Text("-"), Text("-"),
            Number(static_cast<uint64_t>(reader.sessions_size()))}});
    }
  }
  return table;
}

void Filter(const std::string& wanted, TopTable& table) {
  if (wanted.empty()) return;
  std::erase_if(table.rows, [&](const TopRow& row) {
    for (size_t i = 0; i < row.cells.size(); ++i) {
      const TopColumn& column = table.columns[i];
      if ((column.is_text || column.is_pid) &&
          row.cells[i].text.find(wanted) != std::string::npos) {
        return false;
      }
    }
    return true;
  });
}

// Names from A on, numbers from the largest on; equal ones by name.
void Sort(const TopChoice& choice, TopTable& table) {
  const size_t by = std::min(choice.sort_column, table.columns.size() - 1);
  const bool is_text = table.columns[by].is_text;
  const auto less = [&](const TopRow& a, const TopRow& b) {
    const TopCell& first = a.cells[by];
    const TopCell& second = b.cells[by];
    if (is_text && first.text != second.text) return first.text < second.text;
    if (!is_text && first.number != second.number) {
      return first.number > second.number;
    }
    return a.cells[0].text < b.cells[0].text;
  };
  std::sort(table.rows.begin(), table.rows.end(), less);
  if (choice.reversed) std::reverse(table.rows.begin(), table.rows.end());
}

}  // namespace

TopTable MakeTopTable(TopPane pane, const BusView& view,
                      const TopChoice& choice) {
  TopTable table;
  switch (pane) {
    case TopPane::kTopics:
      table = Topics(view);
      break;
    case TopPane::kClients:
      table = Clients(view);
      break;
    case TopPane::kCounters:
      table = CountersOf(view);
      break;
    case TopPane::kLogs:
      table = Logs(view);
      break;
  }
  Filter(choice.filter, table);
  Sort(choice, table);
  return table;
}

std::string TopSummary(const BusView& view) {
  uint64_t then = 0;
  uint64_t now = 0;
  for (const auto& topic : view.before.topics()) then += topic.messages();
  for (const auto& topic : view.now.topics()) now += topic.messages();
  size_t trouble = 0;
  for (const auto& s : view.now.sessions()) trouble += IsInTrouble(s.queue());
  for (const auto& t : view.now.taps()) trouble += IsInTrouble(t.queue());
  for (const auto& g : view.now.groups()) trouble += IsInTrouble(g.queue());
  for (const auto& log : view.now.logs()) trouble += !log.trouble().empty();
  return fmt::format("{:.0f} msgs/s, {} sessions, {} topics, {} in trouble",
                     view.Rate(then, now), view.now.sessions_size(),
                     view.now.topics_size(), trouble);
}

std::string TopLine(const std::vector<TopColumn>& columns,
                    const std::vector<std::string>& cells, size_t width) {
  size_t shown = 1;
  size_t used = columns[0].width;
  while (shown < columns.size() && used + 1 + columns[shown].width <= width) {
    used += 1 + columns[shown++].width;
  }
  const size_t name = columns[0].width + (width > used ? width - used : 0);
  std::string line =
      fmt::format("{:<{}.{}}", cells[0], name, std::min(name, width));
  for (size_t i = 1; i < shown; ++i) {
    const size_t room = columns[i].width;
    line += columns[i].is_text
                ? fmt::format(" {:<{}.{}}", cells[i], room, room)
                : fmt::format(" {:>{}.{}}", cells[i], room, room);
  }
  return line.substr(0, width);
}

}  // namespace fifobus::cli
