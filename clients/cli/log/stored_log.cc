#include "clients/cli/log/stored_log.h"

#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>
#include <utility>

#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "broker/core/sessions/reader_stats.h"
#include "clients/cli/inspect/bus_view.h"
#include "fmt/format.h"
#include "proto/topic.h"

namespace fifobus::cli {
namespace {

std::string LogsFolder(const std::string& state_dir) {
  return state_dir + "/logs";
}

std::string OwnerText(const std::string& path) {
  struct stat status = {};
  if (stat(path.c_str(), &status) != 0) return "another user";
  const passwd* user = getpwuid(status.st_uid);
  return fmt::format("user {}", user == nullptr ? std::to_string(status.st_uid)
                                                : std::string(user->pw_name));
}

// Why `path` cannot be read, and what to do about it.
absl::Status Unreadable(const std::string& path, int error) {
  if (error == EACCES || error == EPERM) {
    return absl::PermissionDeniedError(
        fmt::format("{} belongs to {}, and may not be read; run this as that "
                    "user",
                    path, OwnerText(path)));
  }
  return absl::ErrnoToStatus(error, fmt::format("read {}", path));
}

// flock(2) locks stand in /proc/locks: proc_locks(5). A try to lock the file
// would keep out a broker that starts in this moment.
bool IsLocked(const std::string& path) {
  struct stat status = {};
  if (stat(path.c_str(), &status) != 0) return false;
  const std::string inode = fmt::format(":{}", status.st_ino);
  std::ifstream locks("/proc/locks");
  std::string line;
  while (std::getline(locks, line)) {
    std::istringstream words(line);
    std::string number, kind, advice, mode, pid, file;
    words >> number >> kind >> advice >> mode >> pid >> file;
    if (kind == "FLOCK" && file.ends_with(inode)) return true;
  }
  return false;
}

void ReadDurableReaders(StoredLog& log) {
  LoadedReaders loaded = ReadReaders(*log.disk, log.files.log_id);
  if (!loaded.result.ok()) {
    log.readers_trouble = DiskFaultText("read", loaded.result);
  } else if (loaded.fault == HeaderFault::kNewerVersion) {
    log.readers_trouble = "a newer fifobus wrote them";
  } else if (loaded.fault != HeaderFault::kNone) {
    log.readers_trouble = "the file is damaged";
  }
  log.readers = std::move(loaded.readers);
}

absl::Status UnknownLog(const std::string& state_dir, const std::string& name) {
  auto names = LogNames(state_dir);
  if (!names.ok()) return names.status();
  return absl::NotFoundError(fmt::format(
      "there is no log \"{}\" in {}; {}", name, LogsFolder(state_dir),
      names->empty() ? "there is none at all"
                     : "there are: " + absl::StrJoin(*names, ", ")));
}

}  // namespace

absl::StatusOr<std::vector<std::string>> LogNames(
    const std::string& state_dir) {
  const std::string folder = LogsFolder(state_dir);
  std::error_code error;
  std::filesystem::directory_iterator entries(folder, error);
  if (error == std::errc::no_such_file_or_directory) {
    return absl::NotFoundError(fmt::format(
        "there are no logs: {} does not exist; name the state directory of "
        "the broker with --state-dir",
        folder));
  }
  std::vector<std::string> names;
  const std::filesystem::directory_iterator end;
  while (!error && entries != end) {
    std::error_code kind_error;
    if (entries->is_directory(kind_error)) {
      names.push_back(entries->path().filename());
    }
    entries.increment(error);
  }
  if (error) return Unreadable(folder, error.value());
  std::sort(names.begin(), names.end());
  return names;
}

absl::StatusOr<StoredLog> OpenStoredLog(const std::string& state_dir,
                                        const std::string& name) {
  // A log's name is one level of a topic, so it leads nowhere else.
  if (CheckTopic(name) != TopicFault::kNone ||
      name.find('/') != std::string::npos) {
    return absl::InvalidArgumentError(
        fmt::format("\"{}\" is no name of a log", name));
  }
  StoredLog log;
  log.name = name;
  log.folder = fmt::format("{}/{}", LogsFolder(state_dir), name);
  struct stat status = {};
  if (stat(log.folder.c_str(), &status) != 0) {
    if (errno == ENOENT) return UnknownLog(state_dir, name);
    return Unreadable(LogsFolder(state_dir), errno);
  }
  auto disk = PosixDisk::OpenFolderToRead(log.folder);
  if (!disk.ok()) {
    return absl::IsPermissionDenied(disk.status())
               ? Unreadable(log.folder, EACCES)
               : disk.status();
  }
  log.disk = *std::move(disk);
  log.in_use = IsLocked(log.folder + "/lock");
  log.files = ReadLogFiles(*log.disk);
  if (log.files.outcome != LogOutcome::kDone) {
    return absl::DataLossError(fmt::format("log {}: {} ({})", name,
                                           LogOutcomeText(log.files.outcome),
                                           log.files.reason));
  }
  ReadDurableReaders(log);
  return log;
}

pb::StatsReply::Log DescribeLog(const StoredLog& log) {
  const LogFiles& files = log.files;
  pb::StatsReply::Log description;
  description.set_name(log.name);
  description.set_first_offset(files.first_offset);
  description.set_next_offset(files.next_offset);
  description.set_committed_offset(files.next_offset - 1);
  description.set_bytes(files.bytes);
  description.set_segments(static_cast<uint32_t>(files.segments.size()));
  const LogReadResult first = ReadLog(files.view, files.first_offset, 1);
  if (!first.extents.empty()) {
    description.set_first_time_unix_nanos(
        first.extents.front().stored_time_unix_nanos);
  }
  for (const ReaderRecord& record : log.readers) {
    *description.add_readers() =
        DescribeReader(record, files.first_offset, files.next_offset);
  }
  return description;
}

std::string MessagesText(const LogFiles& files) {
  const uint64_t messages = files.next_offset - files.first_offset;
  if (messages == 0) {
    return fmt::format("0 messages, the next is offset {}", files.next_offset);
  }
  return fmt::format("{}, offset {} to {}", CountText(messages, "message"),
                     files.first_offset, files.next_offset - 1);
}

std::string LogTimeText(uint64_t unix_nanos) {
  if (unix_nanos == 0) return "-";
  return absl::FormatTime("%Y-%m-%d %H:%M:%S",
                          absl::FromUnixNanos(static_cast<int64_t>(unix_nanos)),
                          absl::LocalTimeZone());
}

}  // namespace fifobus::cli
