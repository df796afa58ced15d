#include "broker/upgrade/successor.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <fstream>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "broker/base/child_process.h"
#include "broker/base/clock.h"
#include "broker/base/unique_fd.h"
#include "fmt/format.h"

namespace fifobus {
namespace {

constexpr std::string_view kVariable = "FIFOBUS_STATE";
constexpr std::string_view kCheck = "check:";
constexpr std::string_view kRestore = "restore:";

// What is kept of what a program prints. Not tuned.
constexpr size_t kOutputBytesMax = 4096;

// How often a program is asked whether it has ended that has closed its output:
// it does both at once. Not tuned.
constexpr absl::Duration kEndPoll = absl::Microseconds(200);

// What the kernel puts behind the path of a file that has no name any more:
// proc(5).
constexpr std::string_view kDeleted = " (deleted)";

// Reads the pipe to its end.
absl::StatusOr<std::string> ReadOutput(int fd, absl::Duration patience) {
  const absl::Duration deadline = MonotonicNow() + patience;
  std::string output;
  while (true) {
    pollfd polled = {fd, POLLIN, 0};
    const timespec limit = absl::ToTimespec(
        std::max(absl::ZeroDuration(), deadline - MonotonicNow()));
    const int ready = ppoll(&polled, 1, &limit, nullptr);
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) {
      return absl::DeadlineExceededError(fmt::format(
          "it did not answer within {}", absl::FormatDuration(patience)));
    }
    std::array<char, kOutputBytesMax> buffer;
    const ssize_t bytes = read(fd, buffer.data(), buffer.size());
    if (bytes <= 0) return output;
    const size_t room = kOutputBytesMax - output.size();
    output.append(buffer.data(), std::min(room, static_cast<size_t>(bytes)));
  }
}

// The last line that says something.
std::string LastLine(std::string_view text) {
  while (text.ends_with('\n')) text.remove_suffix(1);
  return std::string(text.substr(text.rfind('\n') + 1));
}

std::string EndText(int how) {
  return how < 0 ? fmt::format("signal {}", -how)
                 : fmt::format("exit code {}", how);
}

void SetCloseOnExec(const std::vector<int>& descriptors, bool closes) {
  for (const int fd : descriptors) {
    (void)fcntl(fd, F_SETFD, closes ? FD_CLOEXEC : 0);
  }
}

// As execve(2), with a variable in front of the environment or without it.
absl::Status Execute(const Successor& successor, const std::string& variable) {
  std::vector<char*> words;
  for (const std::string& word : successor.words) {
    words.push_back(const_cast<char*>(word.c_str()));
  }
  words.push_back(nullptr);
  std::vector<char*> variables;
  if (!variable.empty()) {
    variables.push_back(const_cast<char*>(variable.c_str()));
  }
  for (char** other = environ; *other != nullptr; ++other) {
    variables.push_back(*other);
  }
  variables.push_back(nullptr);
  execve(successor.program.c_str(), words.data(), variables.data());
  return absl::ErrnoToStatus(errno, fmt::format("run {}", successor.program));
}

}  // namespace

absl::Status CheckState(const Successor& successor, const StateFile& state,
                        absl::Duration patience) {
  std::array<int, 2> ends;
  if (pipe2(ends.data(), O_CLOEXEC) != 0) {
    return absl::ErrnoToStatus(errno, "pipe2");
  }
  const UniqueFd reading(ends[0]);
  UniqueFd writing(ends[1]);
  std::vector<std::string> command = successor.words;
  command[0] = successor.program;
  auto child = ChildProcess::Start(
      command, {state.fd.get(), writing.get(), writing.get()},
      {fmt::format("{}={}{}", kVariable, kCheck, STDIN_FILENO)});
  if (!child.ok()) return child.status();
  writing.Reset();
  const auto output = ReadOutput(reading.get(), patience);
  if (!output.ok()) {
    return absl::Status(output.status().code(),
                        fmt::format("{}: {}", successor.program,
                                    std::string(output.status().message())));
  }
  // What it had to say is said.
  const absl::Duration deadline = MonotonicNow() + patience;
  std::optional<int> how = child->Poll();
  while (!how && MonotonicNow() < deadline) {
    absl::SleepFor(kEndPoll);
    how = child->Poll();
  }
  if (!how) {
    return absl::DeadlineExceededError(
        fmt::format("{}: it does not end", successor.program));
  }
  const std::string line = LastLine(*output);
  if (*how == 0 && line == SuccessorReply(state.records, state.bytes))
    return absl::OkStatus();
  return absl::FailedPreconditionError(
      fmt::format("{} does not take the state over ({}): {}", successor.program,
                  EndText(*how), line.empty() ? "it printed nothing" : line));
}

absl::Status Become(const Successor& successor, const StateFile& state) {
  std::vector<int> kept = state.descriptors;
  kept.push_back(state.fd.get());
  SetCloseOnExec(kept, /*closes=*/false);
  absl::Status status = Execute(
      successor, fmt::format("{}={}{}", kVariable, kRestore, state.fd.get()));
  SetCloseOnExec(kept, /*closes=*/true);
  return status;
}

absl::Status BecomeAnew(const Successor& successor) {
  (void)close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
  return Execute(successor, "");
}

std::optional<StateTask> TakeStateTask() {
  const char* const value = getenv(std::string(kVariable).c_str());
  if (value == nullptr) return std::nullopt;
  const std::string text = value;
  unsetenv(std::string(kVariable).c_str());
  // What is inherited belongs to this program alone.
  (void)close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
  const bool restores = text.starts_with(kRestore);
  if (!restores && !text.starts_with(kCheck)) return std::nullopt;
  const std::string_view number =
      std::string_view(text).substr(restores ? kRestore.size() : kCheck.size());
  StateTask task = {
      restores ? StateTask::Kind::kRestore : StateTask::Kind::kCheck, -1};
  const auto parsed =
      std::from_chars(number.data(), number.data() + number.size(), task.fd);
  if (parsed.ec != std::errc() || task.fd < 0) return std::nullopt;
  return task;
}

std::string SuccessorReply(uint64_t records, uint64_t bytes) {
  return fmt::format("state is good: {} records, {} bytes", records, bytes);
}

absl::StatusOr<std::string> ProgramOfThis() {
  std::array<char, PATH_MAX> path;
  const ssize_t size = readlink("/proc/self/exe", path.data(), path.size());
  if (size <= 0) return absl::ErrnoToStatus(errno, "readlink /proc/self/exe");
  std::string_view name(path.data(), static_cast<size_t>(size));
  if (name.ends_with(kDeleted)) name.remove_suffix(kDeleted.size());
  return std::string(name);
}

std::vector<std::string> CommandLineOfThis() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  std::vector<std::string> words;
  for (std::string word; std::getline(file, word, '\0');) {
    words.push_back(word);
  }
  return words;
}

}  // namespace fifobus
