#include "clients/cli/conformance/client.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "absl/time/clock.h"
#include "fmt/format.h"

namespace fifobus::cli {
namespace {

constexpr size_t kShownBytes = 60;

// A pause between two looks at something that cannot be waited for.
constexpr absl::Duration kLook = absl::Milliseconds(2);

absl::Status Spawn(const std::vector<std::string>& command, int input,
                   int output, bool verbose, pid_t& pid) {
  std::vector<char*> arguments;
  for (const std::string& argument : command) {
    arguments.push_back(const_cast<char*>(argument.c_str()));
  }
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, input, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&files, output, STDOUT_FILENO);
  if (!verbose) {
    posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null",
                                     O_WRONLY, 0);
  }
  // This program ignores SIGPIPE; a client must cope without that.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t pipe_signal;
  sigemptyset(&pipe_signal);
  sigaddset(&pipe_signal, SIGPIPE);
  posix_spawnattr_setsigdefault(&attributes, &pipe_signal);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
  const int error = posix_spawnp(&pid, arguments[0], &files, &attributes,
                                 arguments.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  if (error == 0) return absl::OkStatus();
  return absl::ErrnoToStatus(error, command[0]);
}

}  // namespace

absl::StatusOr<ConformanceClient> ConformanceClient::Start(
    const std::vector<std::string>& command, bool verbose) {
  std::array<int, 2> in;
  std::array<int, 2> out;
  if (pipe2(in.data(), O_CLOEXEC) != 0) {
    return absl::ErrnoToStatus(errno, "pipe2");
  }
  const UniqueFd in_reader(in[0]);
  ConformanceClient client;
  client.input_.Reset(in[1]);
  if (pipe2(out.data(), O_CLOEXEC) != 0) {
    return absl::ErrnoToStatus(errno, "pipe2");
  }
  client.output_.Reset(out[0]);
  const UniqueFd out_writer(out[1]);
  fcntl(in[1], F_SETFL, O_NONBLOCK);
  const absl::Status status =
      Spawn(command, in[0], out[1], verbose, client.pid_);
  if (!status.ok()) return status;
  return client;
}

ConformanceClient::ConformanceClient(ConformanceClient&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      ended_(other.ended_),
      wait_status_(other.wait_status_),
      input_(std::move(other.input_)),
      output_(std::move(other.output_)),
      printed_(std::move(other.printed_)) {}

ConformanceClient::~ConformanceClient() {
  if (pid_ < 0 || ended_) return;
  kill(pid_, SIGKILL);
  Reap(0);
}

void ConformanceClient::Reap(int wait_options) {
  if (!ended_) ended_ = waitpid(pid_, &wait_status_, wait_options) == pid_;
}

absl::Status ConformanceClient::Type(std::string_view text) {
  const ssize_t bytes = write(input_.get(), text.data(), text.size());
  if (bytes == static_cast<ssize_t>(text.size())) return absl::OkStatus();
  return absl::FailedPreconditionError("it does not read its standard input");
}

absl::Status ConformanceClient::Expect(std::string_view expected) {
  const absl::Time deadline = absl::Now() + kPatience;
  while (printed_.size() < expected.size()) {
    pollfd readable = {output_.get(), POLLIN, 0};
    const int64_t rest = absl::ToInt64Milliseconds(deadline - absl::Now());
    std::array<char, 65536> buffer;
    ssize_t bytes = 0;
    if (rest > 0 && poll(&readable, 1, static_cast<int>(rest)) == 1) {
      bytes = read(output_.get(), buffer.data(), buffer.size());
    }
    if (bytes <= 0) break;
    printed_.append(buffer.data(), static_cast<size_t>(bytes));
  }
  if (std::string_view(printed_).substr(0, expected.size()) != expected) {
    return absl::FailedPreconditionError(
        fmt::format("it printed {} bytes, \"{}\", and not the {} bytes \"{}\"",
                    printed_.size(), printed_.substr(0, kShownBytes),
                    expected.size(), expected.substr(0, kShownBytes)));
  }
  printed_.erase(0, expected.size());
  return absl::OkStatus();
}

absl::StatusOr<int> ConformanceClient::AwaitExit() {
  const absl::Time deadline = absl::Now() + kPatience;
  while (IsRunning()) {
    if (absl::Now() >= deadline) {
      return absl::FailedPreconditionError("it does not end");
    }
    absl::SleepFor(kLook);
  }
  return WIFEXITED(wait_status_) ? WEXITSTATUS(wait_status_)
                                 : -WTERMSIG(wait_status_);
}

bool ConformanceClient::IsRunning() {
  Reap(WNOHANG);
  return !ended_;
}

void ConformanceClient::Terminate() const { kill(pid_, SIGTERM); }

}  // namespace fifobus::cli
