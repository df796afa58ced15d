#include "clients/cli/log/log_change.h"

#include <algorithm>
#include <string>
#include <utility>

#include "broker/base/log.h"
#include "broker/core/logs/served_log.h"
#include "broker/core/sessions/log_requests.h"
#include "broker/io/posix_disk.h"
#include "broker/options.h"
#include "clients/cli/log/stored_log.h"
#include "clients/cli/state_directory.h"
#include "clients/cpp/bus_locator.h"
#include "clients/cpp/client.h"

namespace fifobus::cli {
namespace {

bool Serves(const pb::StatsReply& stats, const std::string& name) {
  return std::any_of(stats.logs().begin(), stats.logs().end(),
                     [&](const auto& log) { return log.name() == name; });
}

absl::StatusOr<pb::StatsReply::Log> ChangeByBroker(
    Client& client, const pb::LogRequest& request) {
  auto reply = client.AskLog(request);
  if (!reply.ok()) return reply.status();
  return std::move(*reply->mutable_log());
}

// The log is opened as a broker opens it, which recovers it.
absl::StatusOr<pb::StatsReply::Log> ChangeOnDisk(
    const std::string& state_dir, const pb::LogRequest& request) {
  std::string folder;
  {
    const auto log = OpenStoredLog(state_dir, request.log());
    if (!log.ok()) return log.status();
    folder = log->folder;
  }
  auto disk = PosixDisk::OpenFolder(folder);
  if (!disk.ok()) return disk.status();
  StartLog(LogLevel::kWarning);
  const BrokerOptions options;
  LogRule rule;  // without limits, so that nothing else changes
  rule.name = request.log();
  auto log = ServedLog::Open(*std::move(disk), rule, options, /*workers=*/0,
                             [](auto&&...) {});
  if (!log.ok()) return log.status();
  pb::Frame answer = AnswerLogRequest(request, /*pattern=*/"", **log);
  if (answer.has_error()) {
    return absl::FailedPreconditionError(answer.error().text());
  }
  return std::move(*answer.mutable_log_reply()->mutable_log());
}

}  // namespace

absl::StatusOr<pb::StatsReply::Log> ChangeLog(const BusOptions& bus,
                                              const std::string& state_dir,
                                              const pb::LogRequest& request) {
  if (state_dir.empty() && FindBus(bus.dir).ok()) {
    auto client = ConnectClient(bus, "fifobus log");
    if (!client.ok()) return client.status();
    const auto stats = (*client)->Stats();
    if (!stats.ok()) return stats.status();
    // The broker's own error says more where no such log is on disk either.
    const auto dir = StateDirectory("");
    if (Serves(*stats, request.log()) || !dir.ok() ||
        !OpenStoredLog(*dir, request.log()).ok()) {
      return ChangeByBroker(**client, request);
    }
  }
  const auto dir = StateDirectory(state_dir);
  if (!dir.ok()) return dir.status();
  return ChangeOnDisk(*dir, request);
}

}  // namespace fifobus::cli
