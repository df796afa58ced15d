#include "tests/support/process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

#include "gtest/gtest.h"

namespace fifobus {

std::string FifobusBinary() {
  // Bazel runs tests in the runfiles of the workspace.
  return std::filesystem::absolute("fifobus").string();
}

Process::Process(const std::vector<std::string>& command,
                 const std::string& stdout_path,
                 const std::string& stderr_path) {
  std::vector<char*> arguments;
  for (const std::string& argument : command) {
    arguments.push_back(const_cast<char*>(argument.c_str()));
  }
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  const auto redirect = [&](int fd, const std::string& path) {
    posix_spawn_file_actions_addopen(&files, fd,
                                     path.empty() ? "/dev/null" : path.c_str(),
                                     O_WRONLY | O_CREAT | O_TRUNC, 0600);
  };
  redirect(STDOUT_FILENO, stdout_path);
  redirect(STDERR_FILENO, stderr_path);
  EXPECT_EQ(posix_spawn(&pid_, arguments[0], &files, nullptr, arguments.data(),
                        environ),
            0)
      << command[0];
  posix_spawn_file_actions_destroy(&files);
}

Process::~Process() {
  if (pid_ < 0) return;
  Signal(SIGKILL);
  Wait();
}

void Process::Signal(int number) const { kill(pid_, number); }

int Process::Wait() {
  int status = 0;
  EXPECT_EQ(waitpid(std::exchange(pid_, -1), &status, 0) > 0, true);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

size_t OpenDescriptorsOf(pid_t pid) {
  std::error_code gone;
  const std::filesystem::directory_iterator open(
      "/proc/" + std::to_string(pid) + "/fd", gone);
  return static_cast<size_t>(
      std::distance(begin(open), std::filesystem::directory_iterator()));
}

size_t SleepsOf(pid_t pid) {
  size_t sleeps = 0;
  for (const auto& task : std::filesystem::directory_iterator(
           "/proc/" + std::to_string(pid) + "/task")) {
    const bool is_main = task.path().filename() == std::to_string(pid);
    std::ifstream status(task.path() / "status");
    std::string name;  // the first line: "Name:\tfifobus-0"
    std::getline(status, name);
    if (!is_main && name.find("fifobus-") == std::string::npos) continue;
    for (std::string line; std::getline(status, line);) {
      constexpr char kField[] = "voluntary_ctxt_switches:";
      if (line.starts_with(kField)) {
        sleeps += std::strtoul(line.c_str() + sizeof(kField) - 1, nullptr, 10);
      }
    }
  }
  return sleeps;
}

std::string ReadFile(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

}  // namespace fifobus
