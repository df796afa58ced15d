#include "broker/base/log.h"

#include "spdlog/sinks/stdout_sinks.h"

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

}  // namespace

void StartLog(LogLevel level) {
  auto log = std::make_shared<spdlog::logger>(
      "fifobus", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  log->set_pattern("%Y-%m-%dT%H:%M:%S.%e %l %v");
  log->set_level(SpdlogLevel(level));
  spdlog::set_default_logger(std::move(log));
}

}  // namespace fifobus
