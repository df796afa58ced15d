#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>

#include "absl/time/clock.h"
#include "broker/upgrade/upgrade_request.h"
#include "clients/cli/bus_options.h"
#include "clients/cli/commands.h"
#include "clients/cpp/bus_locator.h"
#include "clients/cpp/deadline.h"
#include "fmt/format.h"

namespace fifobus::cli {
namespace {

// Between two looks for the answer.
constexpr absl::Duration kLookInterval = absl::Milliseconds(5);

struct UpgradeOptions {
  BusOptions bus;
  std::string program;
  absl::Duration timeout = absl::Minutes(1);
};

// The broker's process, which has written its number into the lock.
absl::StatusOr<pid_t> BrokerOf(const std::string& dir) {
  std::ifstream file(dir + "/broker.lock");
  pid_t pid = 0;
  if (file >> pid && pid > 0) return pid;
  return absl::UnavailableError(
      fmt::format("{}/broker.lock names no process", dir));
}

// A process that does not expect the signal would be ended by it.
absl::Status CheckExpectsSignal(pid_t pid) {
  constexpr std::string_view kBlocked = "SigBlk:\t";
  std::ifstream file(fmt::format("/proc/{}/status", pid));
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(kBlocked)) continue;
    const std::string_view mask =
        std::string_view(line).substr(kBlocked.size());
    uint64_t signals = 0;
    (void)std::from_chars(mask.data(), mask.data() + mask.size(), signals, 16);
    if ((signals >> (SIGUSR2 - 1) & 1) != 0) return absl::OkStatus();
    return absl::FailedPreconditionError(fmt::format(
        "the broker, pid {}, is of a version that cannot be upgraded in "
        "place; stop it and start the new one",
        pid));
  }
  return absl::UnavailableError(fmt::format(
      "/proc/{}/status cannot be read, which says whether the broker can be "
      "upgraded in place",
      pid));
}

// A file that can be run, by its full path: the broker has another directory.
absl::StatusOr<std::string> FullPath(const std::string& program) {
  if (program.empty()) return program;
  std::array<char, PATH_MAX> path;
  if (realpath(program.c_str(), path.data()) == nullptr) {
    return absl::ErrnoToStatus(errno, program);
  }
  if (access(path.data(), X_OK) != 0) {
    return absl::ErrnoToStatus(errno, fmt::format("run {}", program));
  }
  return std::string(path.data());
}

Exit AwaitAnswer(const UpgradeOptions& options, const std::string& dir,
                 const std::string& id) {
  const Deadline deadline = options.timeout;
  while (true) {
    // Asked first: a broker that has ended may have answered before.
    const absl::Status serves = CheckBus(dir);
    if (const auto answer = ReadUpgradeAnswer(dir, id)) {
      if (!answer->done) {
        return Fail(absl::FailedPreconditionError(
            fmt::format("the broker goes on as it was: {}", answer->text)));
      }
      fmt::print("{}\n", answer->text);
      return kDone;
    }
    if (!serves.ok()) {
      return Fail(absl::UnavailableError(
          fmt::format("the broker has ended; its log says why ({})", dir)));
    }
    if (deadline.HasCome()) {
      (void)Fail(absl::DeadlineExceededError(
          "the broker has not answered; its log says what it does"));
      return kTimedOut;
    }
    absl::SleepFor(kLookInterval);
  }
}

Exit Upgrade(const UpgradeOptions& options) {
  const auto dir = AwaitBus(options.bus);
  if (!dir.ok()) return Fail(dir.status());
  const auto program = FullPath(options.program);
  if (!program.ok()) return Fail(program.status());
  const auto pid = BrokerOf(*dir);
  if (!pid.ok()) return Fail(pid.status());
  absl::Status status = CheckExpectsSignal(*pid);
  if (!status.ok()) return Fail(status);
  const std::string id =
      fmt::format("{}-{}", getpid(), absl::GetCurrentTimeNanos());
  status = WriteUpgradeRequest(*dir, {id, *program});
  if (!status.ok()) return Fail(status);
  if (kill(*pid, SIGUSR2) != 0) {
    return Fail(
        absl::ErrnoToStatus(errno, fmt::format("signal the broker {}", *pid)));
  }
  return AwaitAnswer(options, *dir, id);
}

}  // namespace

void AddUpgrade(Command& program) {
  Command& upgrade = program.Add(
      "upgrade", "put another program in the place of a running broker");
  auto options = std::make_shared<UpgradeOptions>();
  options->bus.AddTo(upgrade);
  upgrade.AddText("PROGRAM", options->program,
                  "the fifobus to go on with [the file that the broker was "
                  "started from]");
  upgrade.AddDuration("--timeout", options->timeout,
                      "how long to wait for the outcome [60s]");
  upgrade.Explain(
      "The broker hands everything that it has to the program, which goes on "
      "in the same process, with the same pipes and the same command line. "
      "Nothing is lost, and no client notices but for a pause of some "
      "milliseconds. The program checks everything first. If it cannot go on "
      "with it, the broker goes on as it was, and the command says why.\n\n"
      "The same is done by the signal SIGUSR2, for the file that the broker "
      "was started from. The configuration is read anew.\n\n"
      "Examples:\n"
      "  fifobus upgrade\n"
      "  fifobus upgrade \"$(command -v fifobus)\"");
  upgrade.OnRun([options] { return Upgrade(*options); });
}

}  // namespace fifobus::cli
