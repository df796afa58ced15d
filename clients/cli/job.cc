#include "clients/cli/job.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "proto/frame.h"

namespace fifobus::cli {
namespace {

// A longer reply would fit into no frame.
constexpr size_t kOutputBytesMax = kFrameBytesMaxDefault;

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

// In the child of a fork: nothing but system calls. Does not return.
[[noreturn]] void Become(const char* const* arguments, const char* const* names,
                         int input, int output, pid_t parent) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(127);  // it died before the line above
  dup2(input, STDIN_FILENO);
  dup2(output, STDOUT_FILENO);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  signal(SIGPIPE, SIG_DFL);
  execve("/bin/sh", const_cast<char* const*>(arguments),
         const_cast<char* const*>(names));
  _exit(127);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Job>> Job::Start(
    const std::string& command, const std::vector<std::string>& variables,
    std::string_view input) {
  auto in = MakePipe();
  if (!in.ok()) return in.status();
  auto out = MakePipe();
  if (!out.ok()) return out.status();
  const std::array<const char*, 4> arguments = {"sh", "-c", command.c_str(),
                                                nullptr};
  std::vector<const char*> names;
  for (char** name = environ; *name != nullptr; ++name) names.push_back(*name);
  for (const std::string& variable : variables) {
    names.push_back(variable.c_str());
  }
  names.push_back(nullptr);
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) return absl::ErrnoToStatus(errno, "fork");
  if (pid == 0) {
    Become(arguments.data(), names.data(), in->reading.get(),
           out->writing.get(), parent);
  }
  // Here too, so that it is done whoever comes first.
  setpgid(pid, pid);
  auto job = std::unique_ptr<Job>(new Job());
  job->pid_ = pid;
  job->pidfd_.Reset(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!job->pidfd_.valid()) return absl::ErrnoToStatus(errno, "pidfd_open");
  job->stdin_ = std::move(in->writing);
  job->stdout_ = std::move(out->reading);
  MakeNonBlocking(job->stdin_);
  MakeNonBlocking(job->stdout_);
  job->input_ = input;
  return job;
}

Job::~Job() {
  if (pid_ < 0) return;
  kill(-pid_, SIGKILL);
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

void Job::AddPolled(std::vector<pollfd>& polled) const {
  polled.push_back({pidfd_.get(), POLLIN, 0});
  if (stdin_.valid()) polled.push_back({stdin_.get(), POLLOUT, 0});
  if (stdout_.valid()) polled.push_back({stdout_.get(), POLLIN, 0});
}

Job::State Job::Advance() {
  if (stdin_.valid()) WriteInput();
  // Before the output is read, so that all that came before the end is read.
  int status = 0;
  const bool ended = waitpid(pid_, &status, WNOHANG) == pid_;
  if (ended) {
    exit_code_ =
        WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    kill(-pid_, SIGKILL);  // its children, if it left any
    pid_ = -1;
  }
  if (stdout_.valid() && ReadOutput() == State::kOutputTooLong) {
    return State::kOutputTooLong;
  }
  return ended ? State::kEnded : State::kRunning;
}

void Job::WriteInput() {
  while (input_written_ < input_.size()) {
    const ssize_t bytes = write(stdin_.get(), input_.data() + input_written_,
                                input_.size() - input_written_);
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0 && errno == EAGAIN) return;
    if (bytes < 0) break;  // it does not want the rest
    input_written_ += static_cast<size_t>(bytes);
  }
  stdin_.Reset();
}

Job::State Job::ReadOutput() {
  std::array<char, 65536> buffer;
  while (output_.size() <= kOutputBytesMax) {
    const ssize_t bytes = read(stdout_.get(), buffer.data(), buffer.size());
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0) return State::kRunning;
    if (bytes == 0) {
      stdout_.Reset();
      return State::kRunning;
    }
    output_.append(buffer.data(), static_cast<size_t>(bytes));
  }
  return State::kOutputTooLong;
}

}  // namespace fifobus::cli
