#include "broker/keeper/kept_broker.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <string_view>

#include "broker/base/check.h"
#include "fmt/format.h"

namespace fifobus {
namespace {

constexpr char kVariable[] = "FIFOBUS_KEPT";  // RESTARTS:DESCRIPTOR
constexpr int kNoDescriptor = -1;

void SetVariable(uint64_t restarts, int descriptor) {
  setenv(kVariable, fmt::format("{}:{}", restarts, descriptor).c_str(), 1);
}

// In the child of a fork: nothing but system calls. Does not return.
[[noreturn]] void Become(const BrokerCommand& command, char* const* words,
                         int ready) {
  fcntl(ready, F_SETFD, 0);  // stays open
  command.before_exec();
  execv(command.program.c_str(), words);
  constexpr std::string_view kCannotRun =
      "fifobus: the program cannot be run again; was it removed?\n";
  (void)!write(STDERR_FILENO, kCannotRun.data(), kCannotRun.size());
  _exit(127);
}

template <typename Number>
bool Parse(std::string_view text, Number& number) {
  const auto parsed =
      std::from_chars(text.data(), text.data() + text.size(), number);
  return parsed.ec == std::errc() && parsed.ptr == text.data() + text.size();
}

}  // namespace

absl::StatusOr<KeptBroker> KeptBroker::Start(const BrokerCommand& command,
                                             uint64_t restarts) {
  std::array<int, 2> ends;
  if (pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0) {
    return absl::ErrnoToStatus(errno, "pipe2");
  }
  UniqueFd reading(ends[0]);
  const UniqueFd writing(ends[1]);
  std::vector<char*> words;
  for (const std::string& word : command.words) {
    words.push_back(const_cast<char*>(word.c_str()));
  }
  words.push_back(nullptr);
  SetVariable(restarts, writing.get());
  const pid_t pid = fork();
  if (pid == 0) Become(command, words.data(), writing.get());
  const int error = errno;
  unsetenv(kVariable);
  if (pid < 0) return absl::ErrnoToStatus(error, "fork");
  return KeptBroker(pid, std::move(reading));
}

bool KeptBroker::IsReady() {
  if (!ready_.valid()) return is_ready_;
  char byte;
  const ssize_t bytes = read(ready_.get(), &byte, 1);
  if (bytes < 0) return false;
  is_ready_ = bytes == 1;
  ready_.Reset();
  return is_ready_;
}

void KeptBroker::Signal(int number) const {
  if (!result_) (void)kill(pid_, number);
}

std::optional<int> KeptBroker::Poll() {
  if (result_) return result_;
  int status = 0;
  pid_t ended = -1;
  do {
    ended = waitpid(pid_, &status, WNOHANG);
  } while (ended < 0 && errno == EINTR);
  if (ended == 0) return std::nullopt;  // it runs
  FIFOBUS_CHECK(ended == pid_);
  result_ = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  return result_;
}

KeeperOfThis KeeperOfThis::FromEnvironment() {
  KeeperOfThis keeper;
  const char* const value = getenv(kVariable);
  if (value == nullptr) return keeper;
  const std::string_view text = value;
  const size_t colon = text.find(':');
  int descriptor = kNoDescriptor;
  if (colon == std::string_view::npos ||
      !Parse(text.substr(0, colon), keeper.restarts_) ||
      !Parse(text.substr(colon + 1), descriptor)) {
    return keeper;
  }
  keeper.exists_ = true;
  if (descriptor > STDERR_FILENO &&
      fcntl(descriptor, F_SETFD, FD_CLOEXEC) == 0) {
    keeper.ready_.Reset(descriptor);
  }
  SetVariable(keeper.restarts_, kNoDescriptor);
  return keeper;
}

void KeeperOfThis::TellReady() {
  if (ready_.valid()) (void)!write(ready_.get(), "r", 1);
  ready_.Reset();
}

}  // namespace fifobus
