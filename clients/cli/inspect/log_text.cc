#include "clients/cli/inspect/log_text.h"

#include <cstdint>

#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "fmt/format.h"
#include "proto/topic.h"

namespace fifobus::cli {
namespace {

using Log = pb::StatsReply::Log;
using Reader = pb::StatsReply::Reader;

uint64_t MessagesIn(const Log& log) {
  return log.next_offset() - log.first_offset();
}

// "offset 3 to 41"; of an empty log where it goes on.
std::string OffsetsText(const Log& log) {
  return MessagesIn(log) == 0
             ? fmt::format("the next is offset {}", log.next_offset())
             : fmt::format("offset {} to {}", log.first_offset(),
                           log.next_offset() - 1);
}

std::string TimeText(uint64_t unix_nanos) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%S",
                          absl::FromUnixNanos(static_cast<int64_t>(unix_nanos)),
                          absl::LocalTimeZone());
}

std::string Line(std::string_view title, std::string_view text) {
  return fmt::format("  {:<12} {}\n", title, text);
}

std::string SessionsText(const pb::StatsReply& stats, const Reader& reader) {
  if (reader.tap()) return "a tap";
  std::vector<std::string> texts;
  for (const uint64_t number : reader.sessions()) {
    texts.push_back(PublisherText(stats, number));
  }
  return texts.empty() ? "no session" : absl::StrJoin(texts, "; ");
}

std::string ReaderLine(const BusView& view, const Log& log,
                       const Reader& reader) {
  std::string text = fmt::format(
      "{}: {} behind, at offset {}, now {:.1f}/s; read by {}", reader.name(),
      CountText(reader.lag(), "message"), reader.position(),
      view.Rate(Before(view, log, reader).position(), reader.position()),
      SessionsText(view.now, reader));
  if (!reader.group().empty()) {
    text += fmt::format("; group {}, {} unanswered", reader.group(),
                        CountText(reader.unacked(), "message"));
  }
  return Line("reader", text);
}

std::string ReaderSentences(const pb::StatsReply& stats, const Reader& reader) {
  const std::string name = fmt::format("The durable reader {}", reader.name());
  std::string text = reader.lag() == 0
                         ? fmt::format("- {} has read everything.\n", name)
                         : fmt::format("- {} is {} behind.\n", name,
                                       CountText(reader.lag(), "message"));
  if (ReaderState(reader) == "unread") {
    text += "  No session reads for it now.\n";
  } else if (reader.lag() > 0) {
    text += fmt::format("  It is read by {}.\n", SessionsText(stats, reader));
  }
  if (reader.unacked() > 0) {
    text += fmt::format("  Its members have not answered {} yet.\n",
                        CountText(reader.unacked(), "message"));
  }
  if (reader.dead_lettered() > 0) {
    text += fmt::format("  {} were given up, and published on $dead/{}.\n",
                        CountText(reader.dead_lettered(), "message"),
                        reader.group());
  }
  return text;
}

}  // namespace

const Log* LogOf(const pb::StatsReply& stats, std::string_view topic) {
  if (IsReplyTopic(topic)) return nullptr;
  for (const Log& log : stats.logs()) {
    if (Matches(log.pattern(), topic)) return &log;
  }
  return nullptr;
}

const Log& Before(const BusView& view, const Log& log) {
  for (const Log& other : view.before.logs()) {
    if (other.name() == log.name()) return other;
  }
  return Log::default_instance();
}

const Reader& Before(const BusView& view, const Log& log,
                     const Reader& reader) {
  for (const Reader& other : Before(view, log).readers()) {
    if (other.name() == reader.name()) return other;
  }
  return Reader::default_instance();
}

std::string LogState(const Log& log) {
  if (!log.trouble().empty()) return "stores nothing";
  return log.holds_up() > 0 ? "busy" : "";
}

std::string ReaderState(const Reader& reader) {
  return reader.sessions_size() == 0 && !reader.tap() ? "unread" : "";
}

std::string LogTables(const pb::StatsReply& stats) {
  if (stats.logs_size() == 0) return "";
  std::string text = fmt::format(
      "\n{:<24} {:>10} {:>10} {:>12} {:>9} {:>8} {:<14} {}\n", "LOG",
      "MESSAGES", "NEXT", "BYTES", "BACKLOG", "HOLDS_UP", "STATE", "PATTERN");
  bool readers = false;
  for (const Log& log : stats.logs()) {
    text += fmt::format("{:<24} {:>10} {:>10} {:>12} {:>9} {:>8} {:<14} {}\n",
                        log.name(), MessagesIn(log), log.next_offset(),
                        log.bytes(), log.backlog_bytes(), log.holds_up(),
                        LogState(log), log.pattern());
    readers = readers || log.readers_size() > 0;
  }
  if (!readers) return text;
  text += fmt::format("\n{:<24} {:<20} {:>10} {:>10} {:>7} {:>8} {:<14} {}\n",
                      "READER", "LOG", "LAG", "POSITION", "UNACKED", "SESSIONS",
                      "STATE", "PATTERN");
  for (const Log& log : stats.logs()) {
    for (const Reader& reader : log.readers()) {
      text += fmt::format(
          "{:<24} {:<20} {:>10} {:>10} {:>7} {:>8} {:<14} {}\n", reader.name(),
          log.name(), reader.lag(), reader.position(), reader.unacked(),
          reader.tap() ? "tap" : fmt::format("{}", reader.sessions_size()),
          ReaderState(reader), reader.pattern());
    }
  }
  return text;
}

std::string LogLines(const BusView& view, const Log& log) {
  std::string text = fmt::format("log {} of {}\n", log.name(), log.pattern());
  text += Line("messages",
               fmt::format("{}, {}", CountText(MessagesIn(log), "message"),
                           OffsetsText(log)));
  text += Line(
      "stored",
      fmt::format("{} since the broker's start; now {:.1f}/s",
                  CountText(log.appended(), "message"),
                  view.Rate(Before(view, log).appended(), log.appended())));
  text += Line("repeats", CountText(log.duplicates(), "message"));
  if (MessagesIn(log) > 0 && log.first_time_unix_nanos() > 0) {
    text += Line("oldest", TimeText(log.first_time_unix_nanos()));
  }
  text += Line("size", fmt::format("{} in {}", BytesText(log.bytes()),
                                   CountText(log.segments(), "segment")));
  text += Line("on disk", fmt::format("up to offset {}; {} are not yet",
                                      log.committed_offset(),
                                      BytesText(log.backlog_bytes())));
  text += Line("state", log.trouble().empty()
                            ? "well"
                            : "it stores nothing: " + log.trouble());
  text += Line("holds up", CountText(log.holds_up(), "publisher"));
  if (log.replay_readers() > 0) {
    text += Line("read by", CountText(log.replay_readers(), "subscription") +
                                " that are not durable");
  }
  for (const Reader& reader : log.readers()) {
    text += ReaderLine(view, log, reader);
  }
  return text;
}

std::string LogSentences(const BusView& view, std::string_view topic) {
  const Log* log = LogOf(view.now, topic);
  if (log == nullptr) return "";
  std::string text =
      fmt::format("The log {} stores it: {} of {}, {}.\n", log->name(),
                  CountText(MessagesIn(*log), "message"), log->pattern(),
                  OffsetsText(*log));
  if (!log->trouble().empty()) {
    text += fmt::format("It stores nothing now: {}.\n", log->trouble());
  }
  if (log->holds_up() > 0) {
    text += fmt::format("{} wait until it has room; {} are not on disk yet.\n",
                        CountText(log->holds_up(), "publisher"),
                        BytesText(log->backlog_bytes()));
  }
  for (const Reader& reader : log->readers()) {
    if (Matches(reader.pattern(), topic)) {
      text += ReaderSentences(view.now, reader);
    }
  }
  return text;
}

}  // namespace fifobus::cli
