#include "tests/support/process.h"

#include <fcntl.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "broker/base/unique_fd.h"
#include "gtest/gtest.h"

namespace fifobus {

std::string FifobusBinary() {
  // Bazel runs tests in the runfiles of the workspace.
  return std::filesystem::absolute("fifobus").string();
}

Process::Process(const std::vector<std::string>& command,
                 const std::string& stdout_path,
                 const std::string& stderr_path) {
  const auto open_file = [](const std::string& path) {
    return UniqueFd(open(path.empty() ? "/dev/null" : path.c_str(),
                         O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  };
  const UniqueFd out = open_file(stdout_path);
  const UniqueFd err = open_file(stderr_path);
  auto child = ChildProcess::Start(command, {-1, out.get(), err.get()});
  EXPECT_TRUE(child.ok()) << child.status();
  if (child.ok()) child_.emplace(*std::move(child));
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
