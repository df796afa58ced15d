#include "clients/cli/shell/shell_child.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>
#include <utility>

#include "clients/cli/inherited_signals.h"
#include "fmt/format.h"

namespace fifobus::cli {
namespace {

constexpr std::string_view kHeaderPrefix = "FIFOBUS_HEADER_";
constexpr std::string_view kCannotRun =
    "fifobus: /bin/sh cannot be run; are the message's headers too large for "
    "an environment?\n";

struct Pipe {
  UniqueFd reading;
  UniqueFd writing;
};

absl::StatusOr<Pipe> MakePipe() {
  std::array<int, 2> fds;
  if (pipe2(fds.data(), O_CLOEXEC) != 0) {
    return absl::ErrnoToStatus(errno, "pipe2");
  }
  return Pipe{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

void MakeNonBlocking(const UniqueFd& fd) {
  (void)fcntl(fd.get(), F_SETFL, O_NONBLOCK);
}

// "NAME=" of "NAME=VALUE".
std::string_view NameOf(std::string_view variable) {
  return variable.substr(0, variable.find('=') + 1);
}

// The new process's environment, for execve.
std::vector<const char*> Environment(
    const std::vector<std::string>& variables) {
  std::vector<const char*> all;
  for (char** inherited = environ; *inherited != nullptr; ++inherited) {
    const std::string_view name = NameOf(*inherited);
    const bool is_ours =
        name.starts_with(kHeaderPrefix) ||
        std::any_of(variables.begin(), variables.end(),
                    [&](const std::string& ours) {
                      return std::string_view(ours).starts_with(name);
                    });
    if (!is_ours) all.push_back(*inherited);
  }
  for (const std::string& variable : variables) {
    all.push_back(variable.c_str());
  }
  all.push_back(nullptr);
  return all;
}

// In the child of a fork: nothing but system calls. Does not return.
// `output`: -1 to leave standard output as it is.
[[noreturn]] void Become(const char* const* arguments, const char* const* names,
                         int input, int output, pid_t parent) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(127);  // it died before the line above
  dup2(input, STDIN_FILENO);
  if (output >= 0) dup2(output, STDOUT_FILENO);
  RestoreSignals();
  execve("/bin/sh", const_cast<char* const*>(arguments),
         const_cast<char* const*>(names));
  (void)!write(STDERR_FILENO, kCannotRun.data(), kCannotRun.size());
  _exit(127);
}

}  // namespace

absl::StatusOr<std::unique_ptr<ShellChild>> ShellChild::Start(
    const std::string& command, const std::vector<std::string>& variables,
    Stdout output) {
  auto in = MakePipe();
  if (!in.ok()) return in.status();
  Pipe out;
  if (output == Stdout::kTaken) {
    auto made = MakePipe();
    if (!made.ok()) return made.status();
    out = *std::move(made);
  }
  const std::array<const char*, 4> arguments = {"sh", "-c", command.c_str(),
                                                nullptr};
  const std::vector<const char*> names = Environment(variables);
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) return absl::ErrnoToStatus(errno, "fork");
  if (pid == 0) {
    Become(arguments.data(), names.data(), in->reading.get(), out.writing.get(),
           parent);
  }
  // Here too, so that it is done whoever comes first.
  setpgid(pid, pid);
  auto child = std::unique_ptr<ShellChild>(new ShellChild());
  child->pid_ = pid;
  child->pidfd_.Reset(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!child->pidfd_.valid()) return absl::ErrnoToStatus(errno, "pidfd_open");
  child->input_ = std::move(in->writing);
  child->output_ = std::move(out.reading);
  MakeNonBlocking(child->input_);
  MakeNonBlocking(child->output_);
  return child;
}

ShellChild::~ShellChild() {
  if (pid_ < 0) return;
  kill(-pid_, SIGKILL);
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

std::optional<int> ShellChild::Reap() {
  siginfo_t ended = {};
  // Not yet reaped, its number is still its group's and nobody else's.
  if (pid_ < 0 ||
      waitid(P_PID, static_cast<id_t>(pid_), &ended,
             WEXITED | WNOHANG | WNOWAIT) != 0 ||
      ended.si_pid != pid_) {
    return std::nullopt;
  }
  kill(-pid_, SIGKILL);  // its children, if it left any
  int status = 0;
  (void)waitpid(pid_, &status, 0);
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::string ExitText(int exit_code) {
  return exit_code > 128 ? fmt::format("signal {}", exit_code - 128)
                         : fmt::format("exit status {}", exit_code);
}

}  // namespace fifobus::cli
