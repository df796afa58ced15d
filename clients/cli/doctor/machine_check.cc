#include "clients/cli/doctor/machine_check.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <utility>

#include "absl/time/clock.h"
#include "broker/base/unique_fd.h"
#include "broker/io/fifo.h"
#include "broker/io/inotify.h"
#include "broker/io/pipe_allowance.h"
#include "broker/options.h"
#include "clients/cli/inspect/bus_view.h"
#include "fmt/format.h"

namespace fifobus::cli {
namespace {

// The kernel's defaults: pipe(7).
constexpr uint64_t kPipeBytes = 65536;
constexpr uint64_t kUserPages = 16384;

// About 500 sessions; the soft limit that most systems begin with.
constexpr uint64_t kDescriptorsMin = 1024;

// The broker has one instance, its keeper another, and each folder of taps has
// a watch. The kernel's oldest default. Not tuned.
constexpr uint64_t kWatchesMin = 8192;

// No clock that is right shows an earlier time to this release.
const absl::CivilYear kClockYearMin(2026);

std::string Sysctl(const Machine& machine, const std::string& key,
                   uint64_t value) {
  return AsRoot(machine, fmt::format("sysctl -w {}={}", key, value));
}

void MeasurePipe(Machine& machine) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return;
  const UniqueFd reader(ends[0]);
  const UniqueFd writer(ends[1]);
  machine.fresh_pipe_bytes = PipeBytes(writer.get());
  TrySetPipeBytes(writer.get(), BrokerOptions().large_pipe_bytes);
  machine.grown_pipe_bytes = PipeBytes(writer.get());
}

absl::Status TryToWatch() {
  auto inotify = Inotify::Open();
  if (!inotify.ok()) return inotify.status();
  return inotify->Watch("/", Inotify::Opens::kIgnored).status();
}

}  // namespace

Machine ThisMachine() {
  Machine machine;
  machine.is_root = geteuid() == 0;
  machine.pipes_exempt = ReadPipeLimits().exempt;
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    machine.descriptors_max = limit.rlim_max;
  }
  MeasurePipe(machine);
  machine.watch = TryToWatch();
  machine.now = absl::Now();
  return machine;
}

uint64_t ReadNumber(const Machine& machine, const std::string& setting) {
  std::ifstream file(fmt::format("{}/{}", machine.proc, setting));
  uint64_t value = 0;
  return file >> value ? value : 0;
}

std::string AsRoot(const Machine& machine, const std::string& command) {
  return (machine.is_root ? "" : "sudo ") + command;
}

Finding CheckPipeLimits(const Machine& machine) {
  const std::string check = "pipe limits";
  const uint64_t largest = BrokerOptions().large_pipe_bytes;
  const uint64_t most = ReadNumber(machine, "sys/fs/pipe-max-size");
  if (most != 0 && most < largest) {
    return Wrong(check,
                 fmt::format("fs.pipe-max-size is {}, so that pipes of large "
                             "messages stay small",
                             BytesText(most)),
                 Sysctl(machine, "fs.pipe-max-size", largest));
  }
  const uint64_t soft = ReadNumber(machine, "sys/fs/pipe-user-pages-soft");
  const uint64_t hard = ReadNumber(machine, "sys/fs/pipe-user-pages-hard");
  for (const auto& [name, pages] :
       {std::pair("fs.pipe-user-pages-hard", hard),
        std::pair("fs.pipe-user-pages-soft", soft)}) {
    if (pages == 0 || pages >= kUserPages || machine.pipes_exempt) continue;
    return Wrong(check,
                 fmt::format("{} is {}, which is too little for all pipes of a "
                             "busy broker",
                             name, pages),
                 Sysctl(machine, name, kUserPages));
  }
  return Ok(check, fmt::format("a pipe may hold {}, and all pipes of a user {}",
                               BytesText(most),
                               soft == 0 || machine.pipes_exempt
                                   ? "any amount"
                                   : fmt::format("{} pages", soft)));
}

Finding CheckPipes(const Machine& machine) {
  const std::string check = "pipes";
  if (machine.fresh_pipe_bytes == 0) {
    return Wrong(check, "no pipe can be made: too many files are open",
                 Sysctl(machine, "fs.file-max", 1 << 20));
  }
  if (machine.fresh_pipe_bytes < kPipeBytes) {
    return Wrong(
        check,
        fmt::format("a new pipe holds only {}, because the pipes of this user "
                    "have reached the kernel's limit",
                    BytesText(machine.fresh_pipe_bytes)),
        Sysctl(
            machine, "fs.pipe-user-pages-soft",
            4 * std::max(kUserPages,
                         ReadNumber(machine, "sys/fs/pipe-user-pages-soft"))));
  }
  if (machine.grown_pipe_bytes < BrokerOptions().large_pipe_bytes) {
    return Wrong(check,
                 fmt::format("a pipe that should grow to {} holds {}",
                             BytesText(BrokerOptions().large_pipe_bytes),
                             BytesText(machine.grown_pipe_bytes)),
                 Sysctl(machine, "fs.pipe-user-pages-soft", 4 * kUserPages));
  }
  return Ok(check, fmt::format("a new pipe holds {} and grows to {}",
                               BytesText(machine.fresh_pipe_bytes),
                               BytesText(machine.grown_pipe_bytes)));
}

Finding CheckDescriptors(const Machine& machine) {
  const std::string check = "descriptors";
  if (machine.descriptors_max < kDescriptorsMin) {
    return Wrong(
        check,
        fmt::format("a process may have {} open, which is enough for "
                    "{} sessions",
                    machine.descriptors_max, machine.descriptors_max / 2),
        AsRoot(machine, "prlimit --pid $$ --nofile=65536:65536"));
  }
  // "used unused most": proc_sys_fs(5).
  std::ifstream file(machine.proc + "/sys/fs/file-nr");
  uint64_t used = 0, unused = 0, most = 0;
  file >> used >> unused >> most;
  if (most > 0 && used > most / 10 * 9) {
    return Wrong(check,
                 fmt::format("{} of the machine's {} are in use", used, most),
                 Sysctl(machine, "fs.file-max", 2 * most));
  }
  return Ok(check,
            fmt::format("a broker may have {}, enough for {} sessions",
                        machine.descriptors_max, machine.descriptors_max / 2));
}

Finding CheckInotify(const Machine& machine) {
  const std::string check = "inotify";
  const std::string folder = "sys/fs/inotify/";
  const uint64_t instances = ReadNumber(machine, folder + "max_user_instances");
  const uint64_t watches = ReadNumber(machine, folder + "max_user_watches");
  if (!machine.watch.ok()) {
    const bool no_instance =
        machine.watch.message().find("inotify_init1") != std::string::npos;
    return Wrong(check,
                 fmt::format("this user has used up what "
                             "fs.inotify.max_user_{} allows",
                             no_instance ? "instances" : "watches"),
                 no_instance ? Sysctl(machine, "fs.inotify.max_user_instances",
                                      4 * std::max<uint64_t>(instances, 128))
                             : Sysctl(machine, "fs.inotify.max_user_watches",
                                      4 * std::max(watches, kWatchesMin)));
  }
  if (watches < kWatchesMin) {
    return Wrong(check,
                 fmt::format("fs.inotify.max_user_watches is {}, and each "
                             "folder of taps takes one",
                             watches),
                 Sysctl(machine, "fs.inotify.max_user_watches", 65536));
  }
  return Ok(check, fmt::format("a user may have {} instances and {} watches",
                               instances, watches));
}

Finding CheckClock(const Machine& machine) {
  const std::string now =
      absl::FormatTime("%Y-%m-%d %H:%M:%S", machine.now, absl::LocalTimeZone());
  if (machine.now < absl::FromCivil(kClockYearMin, absl::UTCTimeZone())) {
    return Wrong("clock",
                 fmt::format("it says {}: expiries and the ages of logs will "
                             "be wrong",
                             now),
                 AsRoot(machine, "timedatectl set-ntp true"));
  }
  return Ok("clock", fmt::format("it says {}", now));
}

}  // namespace fifobus::cli
