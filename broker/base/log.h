#ifndef FIFOBUS_BROKER_BASE_LOG_H_
#define FIFOBUS_BROKER_BASE_LOG_H_

#include <string_view>
#include <utility>

#include "fmt/format.h"
#include "spdlog/spdlog.h"

// The log: one line per change of state, never per message, on standard error:
//   2026-11-23T20:15:00.123 info session open: number=3 client=fifobus[4711]
// A sentence for people, then key=value for machines. Formatting happens only
// if the level is on. Thread-safe.
namespace fifobus {

enum class LogLevel { kDebug, kInfo, kWarning, kError, kOff };

// Sets where lines go (standard error), how they look and the least level that
// is written. Once, before any thread logs.
void StartLog(LogLevel level);

template <typename... Args>
void Log(spdlog::level::level_enum level, std::string_view event,
         fmt::format_string<Args...> fields, Args&&... args) {
  if (!spdlog::should_log(level)) return;
  spdlog::log(level, "{}: {}", event,
              fmt::format(fields, std::forward<Args>(args)...));
}

template <typename... Args>
void LogDebug(std::string_view event, fmt::format_string<Args...> fields,
              Args&&... args) {
  Log(spdlog::level::debug, event, fields, std::forward<Args>(args)...);
}

template <typename... Args>
void LogInfo(std::string_view event, fmt::format_string<Args...> fields,
             Args&&... args) {
  Log(spdlog::level::info, event, fields, std::forward<Args>(args)...);
}

template <typename... Args>
void LogWarning(std::string_view event, fmt::format_string<Args...> fields,
                Args&&... args) {
  Log(spdlog::level::warn, event, fields, std::forward<Args>(args)...);
}

template <typename... Args>
void LogError(std::string_view event, fmt::format_string<Args...> fields,
              Args&&... args) {
  Log(spdlog::level::err, event, fields, std::forward<Args>(args)...);
}

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_BASE_LOG_H_
