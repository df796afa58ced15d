#ifndef FIFOBUS_BROKER_BASE_LOG_H_
#define FIFOBUS_BROKER_BASE_LOG_H_

#include <array>
#include <charconv>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string_view>

#include "absl/time/time.h"

// The log: one line for each change of state, never one for each message, on
// standard error:
//   2026-11-23T20:15:00.123 info session open: number=3 client=fifobus[4711]
// A sentence for people comes first, then key=value for machines. A value that
// is empty or holds anything but printable ASCII without spaces and quotes is
// written in quotes, with C's escapes: a line of the log is always one line.
//
// Logging never waits. A thread of its own writes the lines, from a bounded
// queue. Lines that find no room in it, because nobody reads the log, or that
// cannot be written are dropped and counted, and a later line says how many.
//
// Thread-safe.
namespace fifobus {

enum class LogLevel { kDebug, kInfo, kWarning, kError, kOff };

// A text or a number of a line. It refers to the text, so it is made within the
// call only. Thread-compatible.
class LogValue {
 public:
  LogValue(const char* text) : text_(text) {}
  // Any kind of string or view of one.
  template <typename Text>
  requires requires(const Text& text) { text.data() + text.size(); }
  LogValue(const Text& text) : text_(text.data(), text.size()) {}
  template <std::integral Number>
  LogValue(Number number) {
    const char* const end =
        std::to_chars(digits_.data(), digits_.data() + digits_.size(), number)
            .ptr;
    text_ = {digits_.data(), static_cast<size_t>(end - digits_.data())};
  }
  LogValue(const LogValue&) = delete;
  LogValue& operator=(const LogValue&) = delete;

  std::string_view text() const { return text_; }

 private:
  std::array<char, 24> digits_;
  std::string_view text_;
};

// One key=value of a line.
struct LogField {
  std::string_view key;
  LogValue value;
};
using LogFields = std::initializer_list<LogField>;

// The lines that are queued at most: some 10,000. Not tuned.
inline constexpr size_t kLogQueueBytesMax = size_t{1} << 20;

// Sets the least level that is written, and starts the thread that writes. Until
// then everything is written, by the thread that logs. May be called again, for
// another level.
void StartLog(LogLevel least);

// The same without a thread, for a process that must have only one: each line is
// written by the thread that logs, if standard error takes it at once.
void StartThreadlessLog(LogLevel least);

// Waits until all lines are written, for at most so long. For the end of the
// process.
void FlushLog(absl::Duration patience);

// How many lines were dropped.
uint64_t LogLinesDropped();

void Log(LogLevel level, std::string_view event, LogFields fields);

inline void LogDebug(std::string_view event, LogFields fields) {
  Log(LogLevel::kDebug, event, fields);
}
inline void LogInfo(std::string_view event, LogFields fields) {
  Log(LogLevel::kInfo, event, fields);
}
inline void LogWarning(std::string_view event, LogFields fields) {
  Log(LogLevel::kWarning, event, fields);
}
inline void LogError(std::string_view event, LogFields fields) {
  Log(LogLevel::kError, event, fields);
}

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_BASE_LOG_H_
