#include "clients/cli/state_directory.h"

#include <linux/magic.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "fmt/format.h"

namespace fifobus::cli {
namespace {

// A path in the environment counts only if it is absolute:
// https://specifications.freedesktop.org/basedir-spec/.
std::string AbsolutePath(const char* variable) {
  const char* const value = std::getenv(variable);
  return value != nullptr && value[0] == '/' ? value : "";
}

// The directory itself, or the nearest one above it.
std::filesystem::path NearestExisting(const std::string& dir) {
  std::error_code error;
  std::filesystem::path path = std::filesystem::absolute(dir, error);
  if (error) return dir;
  while (!std::filesystem::exists(path, error) && path.has_relative_path()) {
    path = path.parent_path();
  }
  return path;
}

std::string UserName(uid_t uid) {
  const passwd* user = getpwuid(uid);
  return user == nullptr ? fmt::format("{}", uid) : user->pw_name;
}

}  // namespace

absl::StatusOr<std::string> StateDirectory(const std::string& dir) {
  if (!dir.empty()) return dir;
  const char* const chosen = std::getenv("FIFOBUS_STATE_DIR");
  if (chosen != nullptr && chosen[0] != '\0') return chosen;
  if (geteuid() == 0) return "/var/lib/fifobus";
  const std::string state = AbsolutePath("XDG_STATE_HOME");
  if (!state.empty()) return state + "/fifobus";
  const std::string home = AbsolutePath("HOME");
  if (!home.empty()) return home + "/.local/state/fifobus";
  return absl::NotFoundError(
      "there is no place for logs: neither XDG_STATE_HOME nor HOME is set; "
      "name a directory with --state-dir");
}

absl::Status CheckStateDirectory(const std::string& dir) {
  const std::string nearest = NearestExisting(dir);
  struct stat status = {};
  if (stat(nearest.c_str(), &status) != 0) {
    return absl::ErrnoToStatus(errno, fmt::format("state-dir {}", dir));
  }
  if (!S_ISDIR(status.st_mode)) {
    return absl::FailedPreconditionError(
        fmt::format("state-dir {}: {} is no directory", dir, nearest));
  }
  for (const std::string& own : {dir, dir + "/logs"}) {
    if (stat(own.c_str(), &status) == 0 && status.st_uid != geteuid()) {
      return absl::PermissionDeniedError(fmt::format(
          "state-dir {}: {} belongs to user {}; run the broker as that user, "
          "or name another directory",
          dir, own, UserName(status.st_uid)));
    }
  }
  if (access(nearest.c_str(), W_OK | X_OK) != 0) {
    return absl::PermissionDeniedError(
        fmt::format("state-dir {}: {} cannot be written ({}); name another "
                    "directory",
                    dir, nearest, strerror(errno)));
  }
  return absl::OkStatus();
}

bool IsInMemory(const std::string& dir) {
  struct statfs status = {};
  return statfs(NearestExisting(dir).c_str(), &status) == 0 &&
         (status.f_type == TMPFS_MAGIC || status.f_type == RAMFS_MAGIC);
}

}  // namespace fifobus::cli
