#include "clients/cli/doctor/broker_check.h"

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>
#include <string>
#include <system_error>

#include "clients/cli/inspect/bus_view.h"
#include "fmt/format.h"
#include "proto/bus_paths.h"
#include "proto/version.h"

namespace fifobus::cli {
namespace {

// The kernel's default: pipe(7).
constexpr uint64_t kPipeBytes = 65536;

// The soft limit of a process's descriptors: proc_pid_limits(5). 0: not known.
uint64_t DescriptorLimit(const Machine& machine, uint32_t pid) {
  std::ifstream file(fmt::format("{}/{}/limits", machine.proc, pid));
  std::string line;
  while (std::getline(file, line)) {
    constexpr std::string_view kTitle = "Max open files";
    if (!line.starts_with(kTitle)) continue;
    std::istringstream words(line.substr(kTitle.size()));
    uint64_t soft = 0;
    return words >> soft ? soft : 0;
  }
  return 0;
}

}  // namespace

uint32_t BrokerPid(const std::string& dir) {
  std::ifstream file(fmt::format("{}/{}", dir, kLockName));
  uint32_t pid = 0;
  return file >> pid ? pid : 0;
}

Finding CheckVersion(std::string_view broker_version, uint32_t pid) {
  if (broker_version == kVersion) {
    return Ok("version", fmt::format("{}, as this program", kVersion));
  }
  return Wrong("version",
               fmt::format("the broker has {}, and this program {}",
                           broker_version, kVersion),
               fmt::format("kill {}; fifobus serve", pid));
}

Finding CheckBrokerPipes(const Machine& machine, const pb::StatsReply& stats) {
  uint64_t least = std::numeric_limits<uint64_t>::max();
  size_t small = 0;
  size_t pipes = 0;
  const auto look = [&](const pb::StatsReply::Queue& queue) {
    if (queue.pipe_bytes() == 0) return;
    ++pipes;
    least = std::min(least, queue.pipe_bytes());
    if (queue.pipe_bytes() < kPipeBytes) ++small;
  };
  for (const auto& session : stats.sessions()) look(session.queue());
  for (const auto& tap : stats.taps()) look(tap.queue());
  if (small > 0) {
    return Wrong(
        "broker's pipes",
        fmt::format("{} of {} hold less than {}, because the pipes of the "
                    "broker's user have reached the kernel's limit",
                    small, CountText(pipes, "pipe"), BytesText(kPipeBytes)),
        AsRoot(machine, "sysctl -w fs.pipe-user-pages-soft=65536"));
  }
  if (pipes == 0) return Ok("broker's pipes", "there are none");
  return Ok("broker's pipes",
            fmt::format("{}, each of at least {}", CountText(pipes, "pipe"),
                        BytesText(least)));
}

Finding CheckBrokerDescriptors(const Machine& machine, uint32_t pid) {
  const std::string check = "broker's descriptors";
  const uint64_t limit = DescriptorLimit(machine, pid);
  std::error_code error;
  size_t used = 0;
  std::filesystem::directory_iterator files(
      fmt::format("{}/{}/fd", machine.proc, pid), error);
  for (; !error && files != std::filesystem::directory_iterator();
       files.increment(error)) {
    ++used;
  }
  if (error || limit == 0) {
    return Note(check, fmt::format("those of process {} are not shown to this "
                                   "user",
                                   pid));
  }
  if (used > limit / 10 * 9) {
    return Wrong(check, fmt::format("{} of {} are in use", used, limit),
                 AsRoot(machine, fmt::format("prlimit --pid {} --nofile={}:{}",
                                             pid, 4 * limit, 4 * limit)));
  }
  return Ok(check, fmt::format("{} of {} are in use", used, limit));
}

Finding CheckBrokerLogs(const pb::StatsReply& stats) {
  for (const auto& log : stats.logs()) {
    if (log.trouble().empty()) continue;
    return Wrong(
        "broker's logs",
        fmt::format("{} stores nothing: {}", log.name(), log.trouble()),
        fmt::format("fifobus log check {}", log.name()));
  }
  return Ok(
      "broker's logs",
      fmt::format("all is well with {}",
                  CountText(static_cast<uint64_t>(stats.logs_size()), "log")));
}

Findings CheckBroker(const Machine& machine, const BusOptions& options,
                     uint32_t pid) {
  auto client = ConnectClient(options, "fifobus doctor");
  auto stats = client.ok() ? (*client)->Stats() : client.status();
  if (!stats.ok()) {
    return {
        Wrong("broker",
              fmt::format("process {} does not answer: {}", pid,
                          std::string(stats.status().message())),
              fmt::format("kill -CONT {0} && kill {0}; fifobus serve", pid))};
  }
  return {Ok("broker", fmt::format("process {} runs and answers", pid)),
          CheckVersion((*client)->broker_version(), pid),
          CheckBrokerPipes(machine, *stats),
          CheckBrokerDescriptors(machine, pid), CheckBrokerLogs(*stats)};
}

}  // namespace fifobus::cli
