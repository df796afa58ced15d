#include "broker/upgrade/upgrade_request.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>
#include <vector>

#include "broker/base/unique_fd.h"
#include "fmt/format.h"

namespace fifobus {
namespace {

constexpr char kRequestName[] = "upgrade";
constexpr char kAnswerName[] = "upgrade-answer";

// A path and two short lines.
constexpr size_t kFileBytesMax = PATH_MAX + 4096;

std::string OneLine(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

// Replaces the file as a whole.
absl::Status WriteLines(const std::string& dir, const std::string& name,
                        const std::vector<std::string>& lines) {
  const std::string path = fmt::format("{}/{}", dir, name);
  const std::string fresh = fmt::format("{}/.{}-{}", dir, name, getpid());
  std::string text;
  for (const std::string& line : lines) text += OneLine(line) + '\n';
  const UniqueFd fd(open(fresh.c_str(),
                         O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
                         0600));
  if (!fd.valid() || write(fd.get(), text.data(), text.size()) !=
                         static_cast<ssize_t>(text.size())) {
    return absl::ErrnoToStatus(errno, fmt::format("write {}", fresh));
  }
  if (rename(fresh.c_str(), path.c_str()) != 0) {
    return absl::ErrnoToStatus(errno, fmt::format("rename {}", fresh));
  }
  return absl::OkStatus();
}

// Nothing: there is no such file.
absl::StatusOr<std::optional<std::vector<std::string>>> ReadLines(
    const std::string& dir, const std::string& name) {
  const std::string path = fmt::format("{}/{}", dir, name);
  const UniqueFd fd(
      open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!fd.valid() && errno == ENOENT) return std::nullopt;
  struct stat status;
  if (!fd.valid() || fstat(fd.get(), &status) != 0) {
    return absl::ErrnoToStatus(errno, fmt::format("read {}", path));
  }
  if (!S_ISREG(status.st_mode) || status.st_uid != geteuid() ||
      (status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return absl::PermissionDeniedError(fmt::format(
        "{} is no file that only the broker's user can write; remove it",
        path));
  }
  std::array<char, kFileBytesMax> buffer;
  const ssize_t bytes = read(fd.get(), buffer.data(), buffer.size());
  if (bytes < 0)
    return absl::ErrnoToStatus(errno, fmt::format("read {}", path));
  std::string_view rest(buffer.data(), static_cast<size_t>(bytes));
  std::vector<std::string> lines;
  for (size_t end = rest.find('\n'); end != std::string_view::npos;
       end = rest.find('\n')) {
    lines.emplace_back(rest.substr(0, end));
    rest.remove_prefix(end + 1);
  }
  return lines;
}

}  // namespace

absl::Status WriteUpgradeRequest(const std::string& dir,
                                 const UpgradeRequest& request) {
  if (request.program.find('\n') != std::string::npos) {
    return absl::InvalidArgumentError(
        "the program's path has a newline; give it another name");
  }
  return WriteLines(dir, kRequestName, {request.id, request.program});
}

std::optional<UpgradeAnswer> ReadUpgradeAnswer(const std::string& dir,
                                               const std::string& id) {
  const auto lines = ReadLines(dir, kAnswerName);
  if (!lines.ok() || !*lines || (*lines)->size() < 3) return std::nullopt;
  if ((**lines)[0] != id) return std::nullopt;
  return UpgradeAnswer{(**lines)[1] == "done", (**lines)[2]};
}

absl::StatusOr<UpgradeRequest> TakeUpgradeRequest(const std::string& dir) {
  const auto lines = ReadLines(dir, kRequestName);
  if (!lines.ok()) return lines.status();
  if (!*lines) return UpgradeRequest();
  (void)unlink(fmt::format("{}/{}", dir, kRequestName).c_str());
  if ((*lines)->size() < 2) {
    return absl::InvalidArgumentError(fmt::format(
        "{}/{} is no request; use fifobus upgrade", dir, kRequestName));
  }
  return UpgradeRequest{(**lines)[0], (**lines)[1]};
}

absl::Status WriteUpgradeAnswer(const std::string& dir, const std::string& id,
                                const UpgradeAnswer& answer) {
  if (id.empty()) return absl::OkStatus();
  return WriteLines(dir, kAnswerName,
                    {id, answer.done ? "done" : "failed", answer.text});
}

}  // namespace fifobus
