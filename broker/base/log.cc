#include "broker/base/log.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_replace.h"
#include "spdlog/sinks/stdout_sinks.h"
#include "spdlog/spdlog.h"

namespace fifobus {
namespace {

spdlog::level::level_enum SpdlogLevel(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
    case LogLevel::kOff:
      return spdlog::level::off;
  }
  return spdlog::level::info;
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

std::string LineOf(std::string_view event, LogFields fields) {
  std::string line(event);
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
  return line;
}

}  // namespace

void StartLog(LogLevel least) {
  auto log = std::make_shared<spdlog::logger>(
      "fifobus", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  log->set_pattern("%Y-%m-%dT%H:%M:%S.%e %l %v");
  log->set_level(SpdlogLevel(least));
  spdlog::set_default_logger(std::move(log));
}

void Log(LogLevel level, std::string_view event, LogFields fields) {
  const spdlog::level::level_enum spdlog_level = SpdlogLevel(level);
  if (!spdlog::should_log(spdlog_level)) return;
  const std::string line = LineOf(event, fields);
  spdlog::log(spdlog_level, spdlog::string_view_t(line.data(), line.size()));
}

}  // namespace fifobus
