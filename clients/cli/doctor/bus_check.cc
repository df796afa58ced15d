#include "clients/cli/doctor/bus_check.h"

#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cstddef>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>

#include "absl/strings/str_replace.h"
#include "absl/time/time.h"
#include "broker/io/file_system.h"
#include "clients/cli/inspect/bus_view.h"
#include "clients/cpp/bus_locator.h"
#include "fmt/format.h"
#include "proto/bus_paths.h"

namespace fifobus::cli {
namespace {

constexpr size_t kFilesMax = 100000;

// A running broker removes what is older by itself, once a minute.
constexpr absl::Duration kUnfinishedAge = absl::Minutes(2);

// A path as a shell takes it.
std::string Quoted(const std::string& path) {
  return fmt::format("'{}'", absl::StrReplaceAll(path, {{"'", "'\\''"}}));
}

std::string OwnerName(const BusFiles& bus) {
  return UserText(bus.status.st_uid);
}

bool IsIn(const BusFiles& bus, std::string_view folder,
          const BusFiles::File& file) {
  return file.path.starts_with(fmt::format("{}/{}/", bus.dir, folder));
}

bool IsTapToRead(const BusFiles::File& file) {
  const std::string parent =
      std::filesystem::path(file.path).parent_path().string();
  return S_ISFIFO(file.status.st_mode) && parent.ends_with(kOutSuffix);
}

// What the broker's user has to be allowed.
mode_t NeededMode(const BusFiles::File& file) {
  if (S_ISDIR(file.status.st_mode)) return S_IRWXU;
  if (!S_ISFIFO(file.status.st_mode)) return S_IRUSR;
  return IsTapToRead(file) ? S_IWUSR : S_IRUSR;
}

struct Fault {
  std::string text;  // behind the path
  std::string command;
};

// Why the broker does not take a file as it is; no text if it does.
Fault FaultOf(const Machine& machine, const BusFiles& bus,
              const BusFiles::File& file) {
  const struct stat& status = file.status;
  const std::string path = Quoted(file.path);
  const std::string remove = fmt::format("rm {}", path);
  if (S_ISLNK(status.st_mode)) {
    return {"is a symbolic link, which the broker does not follow", remove};
  }
  if (status.st_uid != bus.status.st_uid && status.st_uid != 0) {
    return {fmt::format("belongs to user {}, whom the broker does not trust",
                        UserText(status.st_uid)),
            AsRoot(machine, fmt::format("chown {} {}", OwnerName(bus), path))};
  }
  if (S_ISFIFO(status.st_mode) && status.st_nlink > 1) {
    return {"has a second name, so that it may be another program's", remove};
  }
  const mode_t needed = NeededMode(file);
  if (bus.status.st_uid == status.st_uid && status.st_uid != 0 &&
      (status.st_mode & needed) != needed) {
    return {fmt::format("has mode {:04o}, so that the broker cannot use it",
                        status.st_mode & 07777),
            fmt::format("chmod u+rw{} {}", S_ISDIR(status.st_mode) ? "x" : "",
                        path)};
  }
  return {};
}

}  // namespace

BusFiles LookAtBus(const std::string& dir) {
  BusFiles bus;
  bus.dir = dir;
  bus.exists = lstat(dir.c_str(), &bus.status) == 0;
  if (!bus.exists || !S_ISDIR(bus.status.st_mode)) return bus;
  bus.runs = CheckBus(dir).ok();
  std::error_code error;
  std::filesystem::recursive_directory_iterator walk(dir, error);
  for (; !error && walk != std::filesystem::recursive_directory_iterator();
       walk.increment(error)) {
    if (bus.files.size() == kFilesMax) break;
    BusFiles::File file{walk->path().string(), {}};
    // One that has gone meanwhile is none.
    if (lstat(file.path.c_str(), &file.status) != 0) continue;
    bus.files.push_back(std::move(file));
  }
  bus.complete = !error && bus.files.size() < kFilesMax;
  return bus;
}

Finding CheckFileSystem(const std::string& dir) {
  const std::string check = "file system";
  std::error_code error;
  std::filesystem::path path = std::filesystem::absolute(dir, error);
  while (!std::filesystem::exists(path, error) && path.has_relative_path()) {
    path = path.parent_path();
  }
  struct statfs status = {};
  if (statfs(path.c_str(), &status) != 0) {
    return Note(check, fmt::format("{} cannot be looked at", path.string()));
  }
  const std::string remote = RemoteFileSystem(status.f_type);
  if (!remote.empty()) {
    return Wrong(
        check,
        fmt::format("{} is on {}, where FIFOs do not connect processes", dir,
                    remote),
        fmt::format("export FIFOBUS_DIR=/dev/shm/fifobus-{}", geteuid()));
  }
  if ((status.f_flags & ST_RDONLY) != 0) {
    return Wrong(
        check, fmt::format("{} is on a file system that is read-only", dir),
        fmt::format("export FIFOBUS_DIR=/dev/shm/fifobus-{}", geteuid()));
  }
  return Ok(check, fmt::format("{} is on a local one", dir));
}

Finding CheckDirectory(const BusFiles& bus) {
  const std::string check = "directory";
  if (!bus.exists) {
    return Ok(check, fmt::format("{} is not there yet, and the broker makes it",
                                 bus.dir));
  }
  if (!S_ISDIR(bus.status.st_mode)) {
    return Wrong(check,
                 fmt::format("{} is {}", bus.dir,
                             S_ISLNK(bus.status.st_mode) ? "a symbolic link"
                                                         : "no directory"),
                 fmt::format("rm {}", Quoted(bus.dir)));
  }
  const uid_t owner = bus.status.st_uid;
  if (owner != geteuid() && (owner != 0 || !bus.runs)) {
    return Wrong(check,
                 fmt::format("{} belongs to user {}, and neither a broker nor "
                             "a client of another user may use it",
                             bus.dir, OwnerName(bus)),
                 fmt::format("sudo -u {} fifobus doctor --dir {}",
                             OwnerName(bus), Quoted(bus.dir)));
  }
  if ((bus.status.st_mode & 077) != 0) {
    return Wrong(check,
                 fmt::format("{} is open to other users, and no broker starts "
                             "there",
                             bus.dir),
                 fmt::format("chmod 700 {}", Quoted(bus.dir)));
  }
  return Ok(check, fmt::format("{} belongs to user {} alone", bus.dir,
                               OwnerName(bus)));
}

Finding CheckFiles(const Machine& machine, const BusFiles& bus) {
  const std::string check = "owners and modes";
  size_t faults = 0;
  std::string first;
  std::string command;
  for (const BusFiles::File& file : bus.files) {
    Fault fault = FaultOf(machine, bus, file);
    if (fault.text.empty()) continue;
    if (++faults > 1) continue;
    first = fmt::format("{} {}", file.path, fault.text);
    command = std::move(fault.command);
  }
  if (faults == 0 && bus.files.empty() && !bus.complete) {
    return Note(check, "this user may not look at them");
  }
  if (faults == 0) {
    const std::string count = CountText(bus.files.size(), "file");
    return bus.complete
               ? Ok(check, fmt::format("good, of {}", count))
               : Note(check, fmt::format("good, of the {} that were looked at",
                                         count));
  }
  if (faults > 1) first += fmt::format(", and {} others", faults - 1);
  return Wrong(check, std::move(first), std::move(command));
}

// The kernel's fs/namei.c, may_create_in_sticky: a shell's `>` opens with
// O_CREAT, and that fails on a FIFO of another user in a sticky folder into
// which others may write.
Finding CheckProtectedFifos(const Machine& machine, const BusFiles& bus) {
  const std::string check = "protected_fifos";
  const uint64_t setting = ReadNumber(machine, "sys/fs/protected_fifos");
  for (const BusFiles::File& file : bus.files) {
    const mode_t mode = file.status.st_mode;
    const mode_t writers = setting >= 2 ? S_IWOTH | S_IWGRP : S_IWOTH;
    if (setting == 0 || !S_ISDIR(mode) || (mode & S_ISVTX) == 0 ||
        (mode & writers) == 0) {
      continue;
    }
    return Wrong(check,
                 fmt::format("fs.protected_fifos is {} and {} is sticky, so "
                             "that no other user's line may be written there",
                             setting, file.path),
                 fmt::format("chmod -t {}", Quoted(file.path)));
  }
  return Ok(check, fmt::format("fs.protected_fifos is {}, and no folder of the "
                               "bus is sticky",
                               setting));
}

Finding CheckLeftovers(const Machine& machine, const BusFiles& bus) {
  const std::string check = "leftovers";
  size_t sessions = 0;
  for (const BusFiles::File& file : bus.files) {
    const absl::Duration age =
        machine.now - absl::TimeFromTimespec(file.status.st_ctim);
    if (IsIn(bus, kSessionsFolder, file) &&
        (!bus.runs || age > kUnfinishedAge)) {
      ++sessions;
    }
    if (S_ISREG(file.status.st_mode) &&
        file.path.find(".in.aside-") != std::string::npos &&
        age > kUnfinishedAge) {
      return Wrong(
          check,
          fmt::format("{} has lines that its tap did not take", file.path),
          fmt::format("less {0} && rm {0}", Quoted(file.path)));
    }
  }
  if (sessions > 0 && !bus.runs) {
    return Wrong(check,
                 fmt::format("a broker that was killed has left {}; the next "
                             "one removes them",
                             CountText(sessions, "session FIFO")),
                 fmt::format("fifobus serve --dir {}", Quoted(bus.dir)));
  }
  if (sessions > 0) {
    return Wrong(check,
                 fmt::format("{} were begun long ago and never used",
                             CountText(sessions, "session FIFO")),
                 fmt::format("find {}/{} -mmin +2 -delete", Quoted(bus.dir),
                             kSessionsFolder));
  }
  return Ok(check, "there are none");
}

}  // namespace fifobus::cli
