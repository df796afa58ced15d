#include "broker/bus/session_door.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <string_view>
#include <utility>

#include "absl/time/clock.h"
#include "broker/base/log.h"
#include "broker/io/fifo.h"
#include "fmt/format.h"
#include "proto/bus_paths.h"
#include "proto/frame_writer.h"

namespace fifobus {
namespace {

// A client makes its pair and renames it within microseconds. Not tuned.
constexpr absl::Duration kUnfinishedAge = absl::Minutes(1);

// Clients that are turned away come back; each line counts those before it.
constexpr absl::Duration kTurnedAwayLogInterval = absl::Seconds(1);

}  // namespace

SessionDoor::SessionDoor(BusParts& parts, Worker& worker, OnPair on_pair)
    : parts_(parts),
      worker_(worker),
      on_pair_(std::move(on_pair)),
      reserve_(parts.options.reserve_descriptors) {}

std::string SessionDoor::Folder() const {
  return fmt::format("{}/{}", parts_.bus->path(), kSessionsFolder);
}

absl::Status SessionDoor::Open() {
  auto watch = DirectoryWatch::Open(
      worker_, [this](const DirectoryEvent& event) { OnEvent(event); },
      [this] { Rescan(); });
  if (!watch.ok()) return watch.status();
  watch_ = *std::move(watch);
  const auto number = watch_->Watch(Folder(), DirectoryWatch::Opens::kIgnored);
  if (!number.ok()) return number.status();
  Rescan();
  return absl::OkStatus();
}

void SessionDoor::Close() {
  watch_.reset();
  const DescriptorReserve::Loan loan(reserve_);
  const auto names = ListDirectory(Folder());
  if (!names.ok()) return;
  for (const std::string& name : *names) {
    if (!name.starts_with('.')) parts_.bus->Unlink(SessionsPath(name));
  }
}

void SessionDoor::OnEvent(const DirectoryEvent& event) {
  if (event.kind != DirectoryEvent::Kind::kAppeared) return;
  if (event.name.starts_with('.') || !event.name.ends_with(kUpSuffix)) return;
  Admit(WithoutSuffix(event.name, kUpSuffix));
  // Clients that were killed while they made their pair leave a part of it. An
  // arrival is a good time to look, because an idle broker must not wake up.
  if (absl::Now() - last_rescan_ > kUnfinishedAge) Rescan();
}

void SessionDoor::Rescan() {
  last_rescan_ = absl::Now();
  absl::StatusOr<std::vector<std::string>> names;
  {
    const DescriptorReserve::Loan loan(reserve_);
    names = ListDirectory(Folder());
  }
  if (!names.ok()) {
    LogError("cannot look for clients", {{"error", names.status().ToString()}});
    return;
  }
  for (const std::string& name : *names) {
    if (name.starts_with('.')) {
      RemoveIfOld(name);
    } else if (name.ends_with(kUpSuffix)) {
      Admit(WithoutSuffix(name, kUpSuffix));
    } else if (name.ends_with(kDownSuffix)) {
      RemoveIfOld(name);  // its `up` has not come yet, or never will
    }
  }
}

void SessionDoor::Admit(const std::string& id) {
  const FifoTrust trust = parts_.bus->trust();
  FifoOpening down = OpenFifoForWriting(parts_.bus->fd(), DownPath(id), trust);
  if (down.outcome == FifoOpenOutcome::kRefused) {
    Refuse(id, DownPath(id), down.refusal);
    return;
  }
  if (down.outcome == FifoOpenOutcome::kNoDescriptors) {
    TurnAway(id);
    return;
  }
  if (down.outcome != FifoOpenOutcome::kOpened) {
    RemovePair(id);  // nobody reads: the client is dead
    return;
  }
  FifoOpening up = OpenFifoForReading(parts_.bus->fd(), UpPath(id), trust);
  if (up.outcome == FifoOpenOutcome::kRefused) {
    Refuse(id, UpPath(id), up.refusal);
    return;
  }
  if (up.outcome == FifoOpenOutcome::kNoDescriptors) {
    down.fd.Reset();
    TurnAway(id);
    return;
  }
  if (up.outcome != FifoOpenOutcome::kOpened) return;  // seen before
  if (FifoOwner(up.fd.get()) != FifoOwner(down.fd.get())) {
    Refuse(id, UpPath(id), "its pair belongs to two users");
    return;
  }
  RemovePair(id);
  on_pair_(std::move(up.fd), std::move(down.fd));
}

void SessionDoor::Refuse(const std::string& id, const std::string& name,
                         const std::string& reason) {
  parts_.counters.names_refused.Add();
  LogWarning("session refused", {{"name", name}, {"reason", reason}});
  RemovePair(id);
}

void SessionDoor::TurnAway(const std::string& id) {
  parts_.counters.sessions_refused.Add();
  if (absl::Now() - last_turned_away_log_ >= kTurnedAwayLogInterval) {
    last_turned_away_log_ = absl::Now();
    LogWarning(
        "session refused: no descriptors left; raise ulimit -n",
        {{"sessions_opened", parts_.counters.sessions_opened.value()},
         {"sessions_refused", parts_.counters.sessions_refused.value()}});
  }
  const DescriptorReserve::Loan loan(reserve_);
  const FifoOpening down =
      OpenFifoForWriting(parts_.bus->fd(), DownPath(id), parts_.bus->trust());
  if (down.outcome == FifoOpenOutcome::kOpened) {
    pb::Frame frame;
    frame.mutable_error()->set_code(pb::Error::CODE_LIMIT);
    frame.mutable_error()->set_text(
        "the broker has no file descriptors left for another session; raise "
        "its ulimit -n");
    std::string bytes;
    AppendFrame(frame, bytes);
    const Slice slice = {bytes.data(), bytes.size()};
    (void)WriteFifo(down.fd.get(), {&slice, 1});
  }
  RemovePair(id);
}

void SessionDoor::RemovePair(const std::string& id) {
  parts_.bus->Unlink(UpPath(id));
  parts_.bus->Unlink(DownPath(id));
}

void SessionDoor::RemoveIfOld(const std::string& name) {
  const std::string path = SessionsPath(name);
  struct stat status;
  if (fstatat(parts_.bus->fd(), path.c_str(), &status, AT_SYMLINK_NOFOLLOW) !=
      0) {
    return;
  }
  const absl::Time made = absl::TimeFromTimespec(status.st_ctim);
  if (absl::Now() - made > kUnfinishedAge) parts_.bus->Unlink(path);
}

}  // namespace fifobus
