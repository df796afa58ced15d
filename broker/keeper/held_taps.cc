#include "broker/keeper/held_taps.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>
#include <vector>

#include "broker/base/log.h"
#include "broker/io/fifo.h"
#include "fmt/format.h"
#include "proto/bus_paths.h"
#include "proto/topic.h"

namespace fifobus {
namespace {

// What is not held: see HeldTaps.
constexpr std::string_view kFramesSuffix = ".frames";
constexpr std::string_view kDurableSuffix = ".durable";

// The folder that the path lies in.
std::string FolderOf(const std::string& path) {
  return path.substr(0, path.rfind('/') + 1);
}

bool IsOutFolder(std::string_view folder) {
  return folder.ends_with(fmt::format("{}/", kOutSuffix));
}

bool IsTopic(std::string_view topic) {
  return CheckTopic(topic) == TopicFault::kNone;
}

// What a broker opens for reading.
bool IsIn(const std::string& path) {
  if (!path.ends_with(kInSuffix)) return false;
  const std::string topic = WithoutSuffix(path, kInSuffix);
  return IsTopic(topic) && !IsReserved(topic);
}

// What a broker opens for writing, and writes lines to.
bool IsOutOfLines(const std::string& path) {
  const std::string folder = FolderOf(path);
  return IsOutFolder(folder) && !path.ends_with(kFramesSuffix) &&
         !path.ends_with(kDurableSuffix) &&
         IsTopic(WithoutSuffix(WithoutSuffix(folder, "/"), kOutSuffix));
}

// A writing end without a reading one for a moment, where that is possible: a
// broker that sees the moment takes it for a reader.
FifoOpening OpenOut(int dir_fd, const std::string& path,
                    const FifoTrust& trust) {
  FifoOpening opening = OpenFifoForWriting(dir_fd, path, trust);
  if (opening.outcome != FifoOpenOutcome::kNoReader) return opening;
  return OpenFifoToHold(dir_fd, path, trust);
}

}  // namespace

absl::StatusOr<std::unique_ptr<HeldTaps>> HeldTaps::Open(const std::string& dir,
                                                         size_t taps_max) {
  UniqueFd dir_fd(
      open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!dir_fd.valid()) {
    return absl::ErrnoToStatus(errno, fmt::format("open directory {}", dir));
  }
  auto inotify = Inotify::Open();
  if (!inotify.ok()) return inotify.status();
  auto held = std::unique_ptr<HeldTaps>(
      new HeldTaps(dir, taps_max, std::move(dir_fd), *std::move(inotify)));
  held->AddFolder("");
  return held;
}

void HeldTaps::Update() {
  inotify_.Drain([this](const DirectoryEvent& event) { OnEvent(event); },
                 [this] { LookAtAll(); });
  if (lacking_ && std::exchange(released_, false)) LookAtAll();
}

bool HeldTaps::IsCurrent() const {
  const auto root = folders_.find("");
  const NameState now =
      StateOf(AT_FDCWD, fmt::format("{}/{}", dir_, kTopicsFolder));
  return root != folders_.end() && now.kind == FileKind::kFolder &&
         now.identity == root->second.identity;
}

size_t HeldTaps::unread_bytes() const {
  size_t bytes = 0;
  for (const auto& [path, tap] : taps_) {
    if (tap.is_in) bytes += UnreadBytes(tap.fd.get());
  }
  return bytes;
}

void HeldTaps::OnEvent(const DirectoryEvent& event) {
  const auto watched = watches_.find(event.watch);
  if (watched == watches_.end()) return;
  const std::string folder = watched->second;
  switch (event.kind) {
    case DirectoryEvent::Kind::kAppeared:
    case DirectoryEvent::Kind::kVanished:
    case DirectoryEvent::Kind::kChanged:
      if (!event.name.empty()) Look(folder + event.name);
      break;
    case DirectoryEvent::Kind::kMoved:
      // Of others their parent tells.
      if (folder.empty()) EndFolder(folder);
      break;
    case DirectoryEvent::Kind::kUnwatched:
      EndFolder(folder);
      break;
    case DirectoryEvent::Kind::kOpened:
      break;
  }
}

void HeldTaps::Look(const std::string& path) {
  if (path.substr(FolderOf(path).size()).starts_with('.')) return;
  if (path.ends_with(kLastSuffix)) return;  // a broker renames many of those
  const NameState now = StateOf(dir_fd_.get(), TopicsPath(path));
  EndIfChanged(path, now);
  const bool in_out_folder = IsOutFolder(FolderOf(path));
  if (now.kind == FileKind::kFolder && !in_out_folder) {
    if (!folders_.contains(path + "/")) AddFolder(path + "/");
  } else if (now.kind == FileKind::kFifo && !taps_.contains(path)) {
    const bool is_in = !in_out_folder && IsIn(path);
    if (is_in || IsOutOfLines(path)) Hold(path, is_in);
  }
}

void HeldTaps::LookAtAll() {
  lacking_ = false;
  std::vector<std::string> paths;
  for (const auto& [path, tap] : taps_) paths.push_back(path);
  for (const auto& [folder, known] : folders_) {
    if (!folder.empty()) paths.push_back(WithoutSuffix(folder, "/"));
  }
  for (const std::string& path : paths) Look(path);
  std::vector<std::string> folders;
  for (const auto& [folder, known] : folders_) folders.push_back(folder);
  for (const std::string& folder : folders) {
    if (folders_.contains(folder)) AddFolder(folder);
  }
  if (!lacking_) said_ = false;
}

void HeldTaps::EndIfChanged(const std::string& path, const NameState& now) {
  const auto tap = taps_.find(path);
  if (tap != taps_.end() &&
      (now.kind != FileKind::kFifo || tap->second.identity != now.identity)) {
    Release(path);
  }
  const auto folder = folders_.find(path + "/");
  if (folder != folders_.end() && (now.kind != FileKind::kFolder ||
                                   folder->second.identity != now.identity)) {
    EndFolder(path + "/");
  }
}

// Adding what is known does nothing but to list it once more.
void HeldTaps::AddFolder(const std::string& folder) {
  const std::string full = fmt::format("{}/{}", dir_, TopicsPath(folder));
  const NameState now = StateOf(dir_fd_.get(), TopicsPath(folder));
  const auto watch = inotify_.Watch(full, Inotify::Opens::kIgnored);
  if (!watch.ok()) {
    if (!absl::IsNotFound(watch.status())) {
      SayOnce(std::string(watch.status().message()));
    }
    return;
  }
  const auto known = watches_.find(*watch);
  if (known != watches_.end() && known->second != folder) {
    // The same folder under an older path, whose event is still to come.
    EndFolder(std::string(known->second));
    AddFolder(folder);
    return;
  }
  folders_[folder] = {*watch, now.identity};
  watches_[*watch] = folder;
  // Watched first and then listed: what comes between is seen twice, not never.
  const auto names = ListDirectory(full);
  if (!names.ok()) {
    if (!absl::IsNotFound(names.status())) {
      SayOnce(std::string(names.status().message()));
    }
    return;
  }
  for (const std::string& name : *names) Look(folder + name);
}

void HeldTaps::EndFolder(const std::string& folder) {
  for (auto at = folders_.lower_bound(folder);
       at != folders_.end() && at->first.starts_with(folder);) {
    inotify_.Unwatch(at->second.watch);
    watches_.erase(at->second.watch);
    at = folders_.erase(at);
  }
  for (auto at = taps_.lower_bound(folder);
       at != taps_.end() && at->first.starts_with(folder);) {
    released_ = true;
    at = taps_.erase(at);
  }
}

void HeldTaps::Hold(const std::string& path, bool is_in) {
  if (taps_.size() >= taps_max_) {
    SayOnce("no descriptors are left; raise its ulimit -n");
    return;
  }
  const FifoTrust trust = {geteuid()};
  FifoOpening opening =
      is_in ? OpenFifoForReading(dir_fd_.get(), TopicsPath(path), trust)
            : OpenOut(dir_fd_.get(), TopicsPath(path), trust);
  if (opening.outcome == FifoOpenOutcome::kNoDescriptors) {
    SayOnce("no descriptors are left; raise its ulimit -n");
  }
  // What is refused here the broker refuses too, and says so.
  if (opening.outcome != FifoOpenOutcome::kOpened) return;
  const FileIdentity identity = IdentityOf(opening.fd.get());
  taps_[path] = {std::move(opening.fd), identity, is_in};
}

void HeldTaps::Release(const std::string& path) {
  taps_.erase(path);
  released_ = true;
}

void HeldTaps::SayOnce(const std::string& why) {
  lacking_ = true;
  if (std::exchange(said_, true)) return;
  LogWarning(
      "the keeper cannot hold all taps; the others end when the broker "
      "dies",
      {{"bus", dir_}, {"held", taps_.size()}, {"reason", why}});
}

}  // namespace fifobus
