#include "broker/core/logs/log_table.h"

#include "broker/core/logs/served_log.h"
#include "fmt/format.h"
#include "proto/topic.h"

namespace fifobus {

std::shared_ptr<ServedLog> LogTable::LogOf(std::string_view topic) const {
  if (entries_.empty() || IsReplyTopic(topic)) return nullptr;
  for (const Entry& entry : entries_) {
    if (Matches(entry.pattern, topic)) return entry.log;
  }
  return nullptr;
}

LogTable::Serving LogTable::LogServing(std::string_view pattern) const {
  for (const Entry& entry : entries_) {
    if (Covers(entry.pattern, pattern)) {
      return {entry.log, Covers(pattern, entry.pattern)};
    }
    // Some of the pattern's topics are that log's.
    if (Overlaps(entry.pattern, pattern)) break;
  }
  return {};
}

std::shared_ptr<ServedLog> LogTable::Find(std::string_view name) const {
  for (const Entry& entry : entries_) {
    if (entry.log->name() == name) return entry.log;
  }
  return nullptr;
}

std::string LogTable::Text() const {
  std::string text;
  for (const Entry& entry : entries_) {
    text += fmt::format("{}{} ({})", text.empty() ? "" : ", ",
                        entry.log->name(), entry.pattern);
  }
  return text.empty() ? "none" : text;
}

}  // namespace fifobus
