#include "broker/bus/session_door.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <string_view>
#include <utility>

#include "absl/time/clock.h"
#include "broker/base/clock.h"
#include "broker/base/log.h"
#include "broker/io/fifo.h"
#include "fmt/format.h"
#include "proto/bus_paths.h"
#include "proto/frame_writer.h"

namespace fifobus {
namespace {

// A client makes its pair and renames it within microseconds. Not tuned.
constexpr absl::Duration kUnfinishedAge = absl::Minutes(1);

// When to try again to watch or list the folder. Not tuned.
constexpr absl::Duration kTryAgain = absl::Milliseconds(300);

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
  const absl::Status status = Watch();
  if (status.ok()) Rescan();
  return status;
}

absl::Status SessionDoor::Watch() {
  absl::Status made = parts_.bus->MakeFolder(kSessionsFolder);
  if (!made.ok()) return made;
  const auto number = watch_->Watch(Folder(), DirectoryWatch::Opens::kIgnored);
  if (!number.ok()) return number.status();
  watch_number_ = *number;
  return absl::OkStatus();
}

void SessionDoor::Close() {
  if (rescan_timer_) {
    worker_.loop().Cancel(*std::exchange(rescan_timer_, std::nullopt));
  }
  watch_.reset();
  const DescriptorReserve::Loan loan(reserve_);
  const auto names = ListDirectory(Folder());
  if (!names.ok()) return;
  for (const std::string& name : *names) {
    if (name.starts_with('.')) continue;
    (void)parts_.bus->Unlink(SessionsPath(name));
  }
}

void SessionDoor::GoOn() {
  held_ = false;
  Rescan();
}

void SessionDoor::OnEvent(const DirectoryEvent& event) {
  if (event.watch != watch_number_) return;
  if (event.kind == DirectoryEvent::Kind::kMoved ||
      event.kind == DirectoryEvent::Kind::kUnwatched) {
    OnFolderGone();
    return;
  }
  if (held_ || event.kind != DirectoryEvent::Kind::kAppeared) return;
  if (event.name.starts_with('.') || !event.name.ends_with(kUpSuffix)) return;
  Admit(WithoutSuffix(event.name, kUpSuffix));
  // Clients that were killed while they made their pair leave a part of it. An
  // arrival is a good time to look, because an idle broker must not wake up.
  if (MonotonicNow() - last_rescan_ > kUnfinishedAge) Rescan();
}

void SessionDoor::OnFolderGone() {
  LogWarning("the folder sessions was removed or renamed, and is made anew",
             {{"bus", parts_.bus->path()}});
  watch_->Unwatch(std::exchange(watch_number_, DirectoryWatch::kNoWatch));
  RescanLater();
}

void SessionDoor::RescanLater() {
  if (rescan_timer_) return;
  rescan_timer_ = worker_.loop().RunAfter(kTryAgain, [this] {
    rescan_timer_.reset();
    const absl::Status status = Watch();
    if (status.ok()) {
      Rescan();
      return;
    }
    LogSometimes("cannot watch for clients", status);
    RescanLater();
  });
}

void SessionDoor::LogSometimes(std::string_view event,
                               const absl::Status& status) {
  if (const auto errors = errors_.Count()) {
    LogError(event, {{"error", status.message()}, {"errors", *errors}});
  }
}

void SessionDoor::Rescan() {
  if (held_) return;
  last_rescan_ = MonotonicNow();
  absl::StatusOr<std::vector<std::string>> names;
  {
    const DescriptorReserve::Loan loan(reserve_);
    names = ListDirectory(Folder());
  }
  if (!names.ok()) {
    LogSometimes("cannot look for clients", names.status());
    RescanLater();
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
    (void)RemovePair(id);  // nobody reads: the client is dead
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
  const absl::Status removed = RemovePair(id);
  if (!removed.ok()) {
    // It would be let in once more at the next look.
    Refuse(id, UpPath(id), std::string(removed.message()));
    return;
  }
  on_pair_(std::move(up.fd), std::move(down.fd));
}

void SessionDoor::Refuse(const std::string& id, const std::string& name,
                         const std::string& reason) {
  parts_.counters.names_refused.Add();
  LogWarning("session refused", {{"name", name}, {"reason", reason}});
  (void)RemovePair(id);
}

void SessionDoor::TurnAway(const std::string& id) {
  parts_.counters.sessions_refused.Add();
  if (MonotonicNow() - last_turned_away_log_ >= kTurnedAwayLogInterval) {
    last_turned_away_log_ = MonotonicNow();
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
  (void)RemovePair(id);
}

absl::Status SessionDoor::RemovePair(const std::string& id) {
  absl::Status up = parts_.bus->Unlink(UpPath(id));
  const absl::Status down = parts_.bus->Unlink(DownPath(id));
  return up.ok() ? down : up;
}

void SessionDoor::RemoveIfOld(const std::string& name) {
  const std::string path = SessionsPath(name);
  struct stat status;
  if (fstatat(parts_.bus->fd(), path.c_str(), &status, AT_SYMLINK_NOFOLLOW) !=
      0) {
    return;
  }
  const absl::Time made = absl::TimeFromTimespec(status.st_ctim);
  if (absl::Now() - made > kUnfinishedAge) (void)parts_.bus->Unlink(path);
}

}  // namespace fifobus
