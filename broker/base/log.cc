#include "broker/base/log.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "broker/base/log_queue.h"

namespace fifobus {
namespace {

std::atomic<LogLevel> least_level{LogLevel::kDebug};
// Never destroyed. Null: StartLog was not called.
std::atomic<LogQueue*> log_queue{nullptr};
// Whether lines that would wait are dropped, and how many have been.
std::atomic<bool> is_threadless{false};
std::atomic<uint64_t> threadless_dropped{0};

std::string_view NameOf(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kError:
      return "error";
    case LogLevel::kOff:
      break;
  }
  return "off";
}

bool NeedsQuotes(std::string_view value) {
  return value.empty() || std::any_of(value.begin(), value.end(), [](char c) {
           return !absl::ascii_isgraph(static_cast<unsigned char>(c)) ||
                  c == '"' || c == '\\';
         });
}

// As in C, but for single quotes: between double ones they need no escape.
std::string Escaped(std::string_view value) {
  return absl::StrReplaceAll(absl::CHexEscape({value.data(), value.size()}),
                             {{"\\'", "'"}});
}

std::string LineOf(LogLevel level, std::string_view event, LogFields fields) {
  std::string line = absl::FormatTime("%Y-%m-%dT%H:%M:%E3S ", absl::Now(),
                                      absl::LocalTimeZone());
  line += NameOf(level);
  line += ' ';
  line += event;
  std::string_view separator = ": ";
  for (const LogField& field : fields) {
    line += std::exchange(separator, " ");
    line += field.key;
    line += '=';
    const std::string_view value = field.value.text();
    if (NeedsQuotes(value)) {
      line += '"' + Escaped(value) + '"';
    } else {
      line += value;
    }
  }
  return line + '\n';
}

std::string DroppedNotice(uint64_t lines) {
  return LineOf(LogLevel::kWarning,
                "lines of the log were dropped: they were not read in time or "
                "could not be written",
                {{"lines", lines}});
}

void WriteLine(const std::string& line) {
  (void)!write(STDERR_FILENO, line.data(), line.size());
}

// As much as a pipe with a free page takes.
bool StderrTakesALine() {
  pollfd polled = {STDERR_FILENO, POLLOUT, 0};
  return poll(&polled, 1, 0) == 1 && (polled.revents & POLLOUT) != 0;
}

void WriteIfTaken(const std::string& line) {
  if (!StderrTakesALine()) {
    ++threadless_dropped;
    return;
  }
  if (const uint64_t dropped = threadless_dropped.exchange(0)) {
    WriteLine(DroppedNotice(dropped));
  }
  WriteLine(line);
}

}  // namespace

void StartLog(LogLevel least) {
  least_level = least;
  if (log_queue.load() != nullptr) return;
  log_queue = new LogQueue(STDERR_FILENO, kLogQueueBytesMax, DroppedNotice);
}

void StartThreadlessLog(LogLevel least) {
  least_level = least;
  is_threadless = true;
}

void FlushLog(absl::Duration patience) {
  LogQueue* const queue = log_queue.load();
  if (queue != nullptr) queue->Flush(patience);
}

uint64_t LogLinesDropped() {
  const LogQueue* const queue = log_queue.load();
  return queue == nullptr ? 0 : queue->dropped();
}

void Log(LogLevel level, std::string_view event, LogFields fields) {
  if (level < least_level.load(std::memory_order_relaxed)) return;
  std::string line = LineOf(level, event, fields);
  LogQueue* const queue = log_queue.load();
  if (queue != nullptr) {
    queue->Add(std::move(line));
  } else if (is_threadless.load(std::memory_order_relaxed)) {
    WriteIfTaken(line);
  } else {
    WriteLine(line);
  }
}

}  // namespace fifobus
