#include "clients/cli/serve/take_over.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <utility>

#include "broker/base/log.h"
#include "broker/base/unique_fd.h"
#include "broker/bus/state_check.h"
#include "broker/upgrade/state_file.h"
#include "broker/upgrade/upgrade_request.h"
#include "fmt/format.h"
#include "proto/version.h"

namespace fifobus::cli {
namespace {

// How long the log may take before this process becomes another program. Not
// tuned.
constexpr absl::Duration kLogPatience = absl::Seconds(1);

absl::StatusOr<Successor> SuccessorFor(const UpgradeRequest& request) {
  Successor successor = {request.program, CommandLineOfThis()};
  if (!successor.program.empty()) return successor;
  auto program = ProgramOfThis();
  if (!program.ok()) return program.status();
  successor.program = *std::move(program);
  return successor;
}

void Answer(const std::string& dir, const std::string& request, bool done,
            const std::string& text) {
  const absl::Status status = WriteUpgradeAnswer(dir, request, {done, text});
  if (!status.ok()) {
    LogWarning("nobody was told of the upgrade",
               {{"reason", std::string(status.message())}});
  }
}

absl::Status Upgrade(Broker& broker, const UpgradeRequest& request) {
  const auto successor = SuccessorFor(request);
  if (!successor.ok()) return successor.status();
  LogInfo("upgrading",
          {{"program", successor->program}, {"from_version", kVersion}});
  return broker.Upgrade(*successor, request.id);
}

// The state cannot be restored, and the old broker is gone: clients connect
// again, as after a kill.
[[noreturn]] void StartAnew(const absl::Status& why) {
  LogError("the state was not taken over; the broker starts anew",
           {{"reason", std::string(why.message())}});
  FlushLog(kLogPatience);
  auto program = ProgramOfThis();
  if (program.ok()) (void)BecomeAnew({*program, CommandLineOfThis()});
  _exit(kFailed);
}

}  // namespace

const std::optional<StateTask>& StateTaskOfThisProcess() {
  static const std::optional<StateTask> task = TakeStateTask();
  return task;
}

void UpgradeInPlace(Broker& broker) {
  const std::string& dir = broker.options().dir;
  const auto request = TakeUpgradeRequest(dir);
  const absl::Status status =
      request.ok() ? Upgrade(broker, *request) : request.status();
  const std::string reason(status.message());
  LogError("upgrade failed, this broker goes on", {{"reason", reason}});
  if (request.ok()) Answer(dir, request->id, /*done=*/false, reason);
}

Exit CheckTakeOver(const BrokerOptions& options, int state_fd) {
  auto state = StateReader::Open(state_fd);
  if (!state.ok()) return Fail(state.status());
  StateCheck check(options);
  while (true) {
    const auto record = state->Next();
    if (!record.ok()) return Fail(record.status());
    if (!*record) break;
    check.Add(**record, state->chunk_bytes().size());
  }
  struct stat status;
  if (fstat(state_fd, &status) != 0) {
    return Fail(absl::ErrnoToStatus(errno, "look at the state"));
  }
  fmt::print("{}\n", SuccessorReply(state->records(),
                                    static_cast<uint64_t>(status.st_size)));
  return kDone;
}

std::unique_ptr<Broker> TakeOver(const BrokerOptions& options, int state_fd) {
  auto state = StateReader::Open(state_fd);
  (void)close(state_fd);
  if (!state.ok()) StartAnew(state.status());
  const std::string version = state->header().version();
  auto broker = Broker::Restore(options, *std::move(state), StartAnew);
  const double pause = absl::ToDoubleMilliseconds(broker->pause());
  LogInfo("upgraded, nothing lost", {{"dir", options.dir},
                                     {"pid", getpid()},
                                     {"from_version", version},
                                     {"version", kVersion},
                                     {"pause_ms", fmt::format("{:.1f}", pause)},
                                     {"upgrades", broker->upgrades()}});
  Answer(options.dir, broker->request(), /*done=*/true,
         fmt::format("upgraded from {} to {}, publishers waited {:.1f} ms",
                     version, kVersion, pause));
  return broker;
}

}  // namespace fifobus::cli
