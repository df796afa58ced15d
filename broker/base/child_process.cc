#include "broker/base/child_process.h"

#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "broker/base/check.h"

namespace fifobus {
namespace {

// Those of the words, then those of a list that ends with null.
std::vector<char*> Pointers(const std::vector<std::string>& words,
                            char** more) {
  std::vector<char*> pointers;
  for (const std::string& word : words) {
    pointers.push_back(const_cast<char*>(word.c_str()));
  }
  for (; more != nullptr && *more != nullptr; ++more) pointers.push_back(*more);
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

absl::StatusOr<ChildProcess> ChildProcess::Start(
    const std::vector<std::string>& command, const Files& files,
    const std::vector<std::string>& variables) {
  const std::vector<char*> arguments = Pointers(command, nullptr);
  const std::vector<char*> environment = Pointers(variables, environ);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  const std::pair<int, int> redirections[] = {
      {files.standard_input, STDIN_FILENO},
      {files.standard_output, STDOUT_FILENO},
      {files.standard_error, STDERR_FILENO}};
  for (const auto& [from, to] : redirections) {
    if (from >= 0) posix_spawn_file_actions_adddup2(&actions, from, to);
  }
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t pipe_signal;
  sigemptyset(&pipe_signal);
  sigaddset(&pipe_signal, SIGPIPE);
  posix_spawnattr_setsigdefault(&attributes, &pipe_signal);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
  pid_t pid = -1;
  const int error = posix_spawnp(&pid, arguments[0], &actions, &attributes,
                                 arguments.data(), environment.data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return absl::ErrnoToStatus(error, "run " + command[0]);
  return ChildProcess(pid);
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), result_(other.result_) {}

ChildProcess::~ChildProcess() {
  if (pid_ < 0) return;
  Signal(SIGKILL);
  (void)Wait();
}

void ChildProcess::Signal(int number) const {
  if (!result_) (void)kill(pid_, number);
}

int ChildProcess::Wait() { return *Reap(0); }

std::optional<int> ChildProcess::Poll() { return Reap(WNOHANG); }

std::optional<int> ChildProcess::Reap(int wait_options) {
  if (result_) return result_;
  int status = 0;
  pid_t ended = -1;
  do {
    ended = waitpid(pid_, &status, wait_options);
  } while (ended < 0 && errno == EINTR);
  if (ended == 0) return std::nullopt;  // it runs
  FIFOBUS_CHECK(ended == pid_);
  result_ = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  return result_;
}

}  // namespace fifobus
