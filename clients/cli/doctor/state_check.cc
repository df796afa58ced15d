#include "clients/cli/doctor/state_check.h"

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cstdint>
#include <vector>

#include "absl/time/time.h"
#include "broker/options.h"
#include "clients/cli/inspect/bus_view.h"
#include "clients/cli/log/stored_log.h"
#include "clients/cli/state_directory.h"
#include "fmt/format.h"

namespace fifobus::cli {
namespace {

// A clock may be set back so far without anybody being misled. Not tuned.
constexpr absl::Duration kClockSlack = absl::Minutes(1);

// The directory without a look into its logs.
Finding CheckPlace(const Machine& machine, const std::string& dir,
                   size_t logs) {
  const std::string check = "state directory";
  const absl::Status status = CheckStateDirectory(dir);
  if (!status.ok()) {
    struct stat found = {};
    // A broker without logs does not need it.
    if (stat(dir.c_str(), &found) != 0) {
      return Note(check, std::string(status.message()),
                  fmt::format("export FIFOBUS_STATE_DIR=/var/tmp/fifobus-{}",
                              geteuid()));
    }
    return Wrong(
        check, std::string(status.message()),
        S_ISDIR(found.st_mode)
            ? AsRoot(machine, fmt::format("chown -R {} '{}'", geteuid(), dir))
            : fmt::format("rm '{}'", dir));
  }
  if (logs > 0 && IsInMemory(dir)) {
    return Wrong(check,
                 fmt::format("{} is in memory, so that its logs do not survive "
                             "the machine",
                             dir),
                 fmt::format("mv '{}' ~/fifobus-state && export "
                             "FIFOBUS_STATE_DIR=~/fifobus-state",
                             dir));
  }
  struct statvfs room = {};
  if (statvfs(dir.c_str(), &room) != 0) {
    return Ok(check, fmt::format("{} is not there yet, and a broker with logs "
                                 "makes it",
                                 dir));
  }
  const uint64_t bytes = uint64_t{room.f_bavail} * room.f_frsize;
  if (bytes < BrokerOptions().log_segment_bytes) {
    return Wrong(check,
                 fmt::format("{} has room for {} only", dir, BytesText(bytes)),
                 "fifobus log ls; fifobus log trim LOG --before -7d");
  }
  return Ok(check, fmt::format("{} has {} and room for {}", dir,
                               CountText(logs, "log"), BytesText(bytes)));
}

Finding CheckLogs(const Machine& machine, const std::string& dir,
                  const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    const auto log = OpenStoredLog(dir, name);
    if (!log.ok()) {
      return Wrong("logs", std::string(log.status().message()),
                   fmt::format("fifobus log check {}", name));
    }
    const absl::Time last = absl::FromUnixNanos(
        static_cast<int64_t>(log->files.last_time_unix_nanos));
    if (last > machine.now + kClockSlack) {
      return Wrong(
          "logs",
          fmt::format("{} has a message of {}, which the clock has "
                      "not reached: it was set back",
                      name, LogTimeText(log->files.last_time_unix_nanos)),
          AsRoot(machine, "timedatectl set-ntp true"));
    }
  }
  return Ok("logs", fmt::format("all of {} can be read",
                                CountText(names.size(), "log")));
}

}  // namespace

Findings CheckState(const Machine& machine, const std::string& state_dir) {
  const auto dir = StateDirectory(state_dir);
  if (!dir.ok()) {
    return {Note("state directory", std::string(dir.status().message()))};
  }
  const auto names = LogNames(*dir);
  if (!names.ok() || names->empty()) return {CheckPlace(machine, *dir, 0)};
  return {CheckPlace(machine, *dir, names->size()),
          CheckLogs(machine, *dir, *names)};
}

}  // namespace fifobus::cli
