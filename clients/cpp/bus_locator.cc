#include "clients/cpp/bus_locator.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <string_view>

#include "broker/base/unique_fd.h"
#include "fmt/format.h"
#include "proto/bus_paths.h"

namespace fifobus {
namespace {

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

void AddUserDirectories(std::vector<std::string>& directories) {
  const std::string runtime = Environment("XDG_RUNTIME_DIR");
  if (!runtime.empty()) directories.push_back(runtime + "/fifobus");
  directories.push_back(fmt::format("/dev/shm/fifobus-{}", getuid()));
}

}  // namespace

std::vector<std::string> BusCandidates(const std::string& dir) {
  if (!dir.empty()) return {dir};
  const std::string chosen = Environment("FIFOBUS_DIR");
  if (!chosen.empty()) return {chosen};
  std::vector<std::string> directories = {"/run/fifobus"};
  AddUserDirectories(directories);
  return directories;
}

std::string BrokerDirectory(const std::string& dir) {
  if (!dir.empty()) return dir;
  const std::string chosen = Environment("FIFOBUS_DIR");
  if (!chosen.empty()) return chosen;
  if (getuid() == 0) return "/run/fifobus";
  std::vector<std::string> directories;
  AddUserDirectories(directories);
  return directories.front();
}

absl::Status CheckBus(const std::string& dir) {
  const UniqueFd dir_fd(
      open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!dir_fd.valid()) {
    const int error = errno;
    struct stat status;
    const bool link =
        lstat(dir.c_str(), &status) == 0 && S_ISLNK(status.st_mode);
    if (link) {
      return absl::PermissionDeniedError(fmt::format(
          "{}: is a symbolic link; name the directory itself", dir));
    }
    if (error == ENOENT) {
      return absl::UnavailableError(fmt::format("{}: no such directory", dir));
    }
    return absl::ErrnoToStatus(error, dir);
  }
  struct stat status;
  if (fstat(dir_fd.get(), &status) != 0) return absl::ErrnoToStatus(errno, dir);
  if (status.st_uid != geteuid() && status.st_uid != 0) {
    return absl::PermissionDeniedError(
        fmt::format("{}: belongs to user {}, neither to you nor to root", dir,
                    status.st_uid));
  }
  const UniqueFd alive(openat(dir_fd.get(), kAliveName,
                              O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC));
  // The broker is the FIFO's only writer: without it a read finds the end.
  char byte;
  if (alive.valid() && read(alive.get(), &byte, 1) < 0 && errno == EAGAIN) {
    return absl::OkStatus();
  }
  return absl::UnavailableError(fmt::format("{}: no broker runs there", dir));
}

absl::StatusOr<std::string> FindBus(const std::string& dir) {
  std::string tried;
  absl::StatusCode code = absl::StatusCode::kUnavailable;
  for (const std::string& candidate : BusCandidates(dir)) {
    const absl::Status status = CheckBus(candidate);
    if (status.ok()) return candidate;
    if (!absl::IsUnavailable(status)) code = status.code();
    if (!tried.empty()) tried += "; ";
    tried += std::string(status.message());
  }
  return absl::Status(
      code, fmt::format("no broker found ({}); start one with: fifobus serve",
                        tried));
}

}  // namespace fifobus
