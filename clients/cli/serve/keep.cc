#include "clients/cli/serve/keep.h"

#include <signal.h>
#include <sys/prctl.h>

#include <algorithm>
#include <utility>

#include "broker/keeper/keeper.h"
#include "broker/upgrade/successor.h"
#include "clients/cli/inherited_signals.h"
#include "clients/cli/serve/descriptor_limit.h"
#include "clients/cli/stop_signals.h"

namespace fifobus::cli {
namespace {

// What the keeper opens beside taps, and a broker's start for a moment.
constexpr size_t kDescriptorsSpared = 64;

// What ps and top show: prctl(2) takes 15 bytes.
constexpr char kProcessName[] = "fifobus-keeper";

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
  auto signals = TakeStopSignals({SIGCHLD, SIGUSR2});
  if (!signals.ok()) return Fail(signals.status());
  const auto program = ProgramOfThis();
  if (!program.ok()) return Fail(program.status());
  StartThreadlessLog(log_level);
  (void)prctl(PR_SET_NAME, kProcessName);
  const size_t descriptors = RaiseDescriptorLimit();
  KeeperOptions keeper;
  keeper.broker = {*program, CommandLineOfThis(), RestoreSignals};
  keeper.dir = dir;
  keeper.restart_delay_max = options.restart_delay;
  keeper.reloads = reloads;
  keeper.taps_max = descriptors - std::min(descriptors, kDescriptorsSpared);
  const Keeper::Result result = Keeper(keeper, *std::move(signals)).Run();
  if (result.signal != 0) EndBySignal(result.signal);
  return static_cast<Exit>(result.exit_code);
}

}  // namespace fifobus::cli
