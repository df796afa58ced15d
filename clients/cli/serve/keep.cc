#include "clients/cli/serve/keep.h"

#include <limits.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>
#include <iterator>
#include <utility>
#include <vector>

#include "broker/keeper/keeper.h"
#include "clients/cli/inherited_signals.h"
#include "clients/cli/serve/descriptor_limit.h"
#include "clients/cli/stop_signals.h"

namespace fifobus::cli {
namespace {

// What the keeper opens beside taps, and a broker's start for a moment.
constexpr size_t kDescriptorsSpared = 64;

// What ps and top show: prctl(2) takes 15 bytes.
constexpr char kProcessName[] = "fifobus-keeper";

// argv as the kernel has it: proc(5).
std::vector<std::string> CommandLine() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  std::vector<std::string> words;
  for (std::string word; std::getline(file, word, '\0');) {
    words.push_back(word);
  }
  return words;
}

// The path, not /proc/self/exe itself, which would go on naming a file that an
// upgrade has replaced.
absl::StatusOr<std::string> ProgramPath() {
  std::array<char, PATH_MAX> path;
  const ssize_t size = readlink("/proc/self/exe", path.data(), path.size());
  if (size <= 0) return absl::ErrnoToStatus(errno, "readlink /proc/self/exe");
  return std::string(path.data(), static_cast<size_t>(size));
}

}  // namespace

void AddKeepOptions(Command& serve, KeepOptions& options) {
  serve.AddFlag("--keep", options.keep,
                "run the broker in a child process; when it dies, start the "
                "next one and hold the taps open meanwhile");
  serve.AddDuration("--restart-delay", options.restart_delay,
                    "with --keep: how long at most to wait before a broker "
                    "that keeps dying is started again [5s]");
}

KeeperOfThis& KeeperOfThisProcess() {
  static KeeperOfThis keeper = KeeperOfThis::FromEnvironment();
  return keeper;
}

bool BecomesKeeper(const KeepOptions& options) {
  return options.keep && !KeeperOfThisProcess().exists();
}

Exit Keep(const KeepOptions& options, const std::string& dir,
          LogLevel log_level, bool reloads) {
  // Ignored, it would take the broker's end away.
  (void)signal(SIGCHLD, SIG_DFL);
  auto signals = TakeStopSignals({SIGCHLD});
  if (!signals.ok()) return Fail(signals.status());
  const auto program = ProgramPath();
  if (!program.ok()) return Fail(program.status());
  StartThreadlessLog(log_level);
  (void)prctl(PR_SET_NAME, kProcessName);
  const size_t descriptors = RaiseDescriptorLimit();
  KeeperOptions keeper;
  keeper.broker = {*program, CommandLine(), RestoreSignals};
  keeper.dir = dir;
  keeper.restart_delay_max = options.restart_delay;
  keeper.reloads = reloads;
  keeper.taps_max = descriptors - std::min(descriptors, kDescriptorsSpared);
  const Keeper::Result result = Keeper(keeper, *std::move(signals)).Run();
  if (result.signal != 0) EndBySignal(result.signal);
  return static_cast<Exit>(result.exit_code);
}

}  // namespace fifobus::cli
