#include "broker/bus/tap_tree.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/time/clock.h"
#include "broker/base/log.h"
#include "broker/core/delivery/queue_stats.h"
#include "broker/io/fifo.h"
#include "fmt/format.h"
#include "proto/bus_paths.h"
#include "proto/topic.h"

namespace fifobus {
namespace {

constexpr std::string_view kDenied =
    "the configuration does not let its owner subscribe to this topic";

enum class FileKind { kMissing, kFifo, kFolder, kRegular, kOther };

FileKind KindOf(int bus_fd, const std::string& path) {
  struct stat status;
  if (fstatat(bus_fd, path.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
    return FileKind::kMissing;
  }
  if (S_ISFIFO(status.st_mode)) return FileKind::kFifo;
  if (S_ISDIR(status.st_mode)) return FileKind::kFolder;
  return S_ISREG(status.st_mode) ? FileKind::kRegular : FileKind::kOther;
}

}  // namespace

TapTree::TapTree(BusParts& parts, Worker& worker)
    : parts_(parts), worker_(worker) {}

std::string TapTree::FullPath(const std::string& path) const {
  return fmt::format("{}/{}", parts_.bus->path(), TopicsPath(path));
}

absl::Status TapTree::Open() {
  auto watch = DirectoryWatch::Open(
      worker_, [this](const DirectoryEvent& event) { OnEvent(event); },
      [this] { Rescan(); });
  if (!watch.ok()) return watch.status();
  watch_ = *std::move(watch);
  AddFolder({FolderKind::kLevel, ""});
  MakeCreated();
  return absl::OkStatus();
}

void TapTree::OnRules() {
  if (finishing_) return;
  std::vector<std::string> denied;
  for (const auto& [path, out] : outs_) {
    if (!out->IsAllowed()) denied.push_back(path);
  }
  for (const std::string& path : denied) {
    RetireOut(path);
    Refuse(path, kDenied);
  }
  for (const auto& [path, in] : ins_) SetMode(path, in->topic());
  for (const auto& [path, out] : outs_) SetMode(path, out->topic());
  MakeCreated();
  AddFolder({FolderKind::kLevel, ""});
}

void TapTree::MakeCreated() {
  for (const std::string& topic :
       parts_.table.snapshot()->rules().CreatedTopics()) {
    MakeLevels(topic);
    MakeIn(topic);
  }
}

// The folders that the topic lies in.
void TapTree::MakeLevels(const std::string& topic) {
  for (size_t slash = topic.find('/'); slash != std::string::npos;
       slash = topic.find('/', slash + 1)) {
    const std::string level = TopicsPath(topic.substr(0, slash));
    (void)mkdirat(parts_.bus->fd(), level.c_str(), 0700);
  }
}

void TapTree::Finish() {
  finishing_ = true;
  for (const auto& [path, in] : ins_) in->Finish();
}

bool TapTree::finished() const {
  return std::all_of(ins_.begin(), ins_.end(),
                     [](const auto& in) { return in.second->finished(); });
}

size_t TapTree::queued_bytes() const {
  size_t bytes = 0;
  for (const auto& [path, out] : outs_) {
    const EgressState state = out->egress()->state();
    // What nobody reads is not waited for.
    if (!state.reader_gone) bytes += state.queued_bytes;
  }
  return bytes;
}

void TapTree::Close() {
  watch_.reset();
  ins_.clear();
  outs_.clear();
  MutexLock lock(mutex_);
  shown_outs_.clear();
}

void TapTree::NudgeIns() {
  worker_.loop().Post([this] {
    for (const auto& [path, in] : ins_) in->Nudge();
  });
}

void TapTree::AppendStats(pb::StatsReply& reply) const {
  std::map<std::string, Out> outs;
  {
    MutexLock lock(mutex_);
    outs = shown_outs_;
  }
  for (const auto& [path, out] : outs) {
    const EgressState state = out.egress->state();
    pb::StatsReply::Tap& tap = *reply.add_taps();
    tap.set_name(path);
    *tap.mutable_queue() = QueueStats(state);
    tap.set_uid(out.owner);
    tap.set_reader_gone(state.reader_gone);
  }
}

void TapTree::OnEvent(const DirectoryEvent& event) {
  const auto found = folders_.find(event.watch);
  if (found == folders_.end()) return;
  const Folder folder = found->second;
  switch (event.kind) {
    case DirectoryEvent::Kind::kAppeared:
      OnAppeared(folder, event.name);
      break;
    case DirectoryEvent::Kind::kVanished:
      OnVanished(folder, event.name);
      break;
    case DirectoryEvent::Kind::kOpened: {
      const auto out = outs_.find(folder.path + event.name);
      if (out != outs_.end()) out->second->OnOpened();
      break;
    }
    case DirectoryEvent::Kind::kUnwatched:
      RetireOutsBelow(folder.path);
      folders_.erase(event.watch);
      break;
  }
}

void TapTree::OnAppeared(const Folder& folder, const std::string& name) {
  if (name.starts_with('.')) return;        // somebody's temporary name
  if (name.ends_with(kLastSuffix)) return;  // see RetainedFiles
  if (folder.kind == FolderKind::kOut) {
    AddOut(folder, name);
    return;
  }
  const std::string path = folder.path + name;
  const FileKind kind = KindOf(parts_.bus->fd(), TopicsPath(path));
  if (name.ends_with(kInSuffix)) {
    if (kind == FileKind::kRegular) MoveAside(path);
    if (kind == FileKind::kRegular || kind == FileKind::kFifo) AddIn(path);
  } else if (kind == FileKind::kFolder && name.ends_with(kOutSuffix)) {
    AddOutFolder(path);
  } else if (kind == FileKind::kFolder) {
    AddFolder({FolderKind::kLevel, path + "/"});
  }
}

void TapTree::OnVanished(const Folder& folder, const std::string& name) {
  const std::string path = folder.path + name;
  if (folder.kind == FolderKind::kOut) {
    RetireOut(path);
  } else if (name.ends_with(kInSuffix)) {
    RetireIn(path);
  } else if (name.ends_with(kOutSuffix)) {
    RetireOutsBelow(path + "/");
  }
}

// After an overflow: what is gone is retired, what is there is added as if it
// had just appeared; adding what is known does nothing.
void TapTree::Rescan() {
  LogWarning("events were lost, looking at all taps anew",
             {{"bus", parts_.bus->path()}});
  const auto gone = [this](const std::string& path) {
    return KindOf(parts_.bus->fd(), TopicsPath(path)) != FileKind::kFifo;
  };
  std::vector<std::string> paths;
  for (const auto& [path, in] : ins_) paths.push_back(path);
  for (const std::string& path : paths) {
    if (gone(path)) RetireIn(path);
  }
  paths.clear();
  for (const auto& [path, out] : outs_) paths.push_back(path);
  for (const std::string& path : paths) {
    if (gone(path)) RetireOut(path);
    // A reader's opening may have been lost too.
    else
      outs_.at(path)->OnOpened();
  }
  AddFolder({FolderKind::kLevel, ""});
}

void TapTree::AddFolder(const Folder& folder) {
  const auto opens = folder.kind == FolderKind::kOut
                         ? DirectoryWatch::Opens::kReported
                         : DirectoryWatch::Opens::kIgnored;
  const auto watch = watch_->Watch(FullPath(folder.path), opens);
  if (!watch.ok()) {
    Refuse(folder.path, std::string(watch.status().message()));
    return;
  }
  folders_[*watch] = folder;
  // Watched first and then listed: what comes between is seen twice, not never.
  const auto names = ListDirectory(FullPath(folder.path));
  if (!names.ok()) return;  // gone again
  for (const std::string& name : *names) OnAppeared(folder, name);
}

void TapTree::AddIn(const std::string& path) {
  if (ins_.contains(path) || finishing_) return;
  const std::string topic = WithoutSuffix(path, kInSuffix);
  const TopicFault fault = CheckTopicToPublish(topic);
  if (fault != TopicFault::kNone) {
    Refuse(path, TopicFaultText(fault));
    return;
  }
  FifoOpening opening = OpenFifoForReading(parts_.bus->fd(), TopicsPath(path),
                                           parts_.bus->trust());
  if (opening.outcome == FifoOpenOutcome::kGone) {
    MakeIn(topic);  // after a regular file was moved aside
    return;
  }
  if (opening.outcome != FifoOpenOutcome::kOpened) {
    Refuse(path, opening.refusal);
    return;
  }
  auto in = TapIn::Open(topic, parts_, worker_, std::move(opening.fd),
                        [this] { watch_->Drain(); });
  if (!in.ok()) {
    Refuse(path, std::string(in.status().message()));
    return;
  }
  ins_[path] = *std::move(in);
  SetMode(path, topic);
  const std::string out = OutPath(topic);
  (void)mkdirat(parts_.bus->fd(), out.c_str(), 0700);
}

void TapTree::AddOutFolder(const std::string& path) {
  AddFolder({FolderKind::kOut, path + "/"});
  const std::string topic = WithoutSuffix(path, kOutSuffix);
  if (!ins_.contains(topic + std::string(kInSuffix))) MakeIn(topic);
}

void TapTree::AddOut(const Folder& folder, const std::string& name) {
  const std::string path = folder.path + name;
  if (outs_.contains(path)) return;
  const FileKind kind = KindOf(parts_.bus->fd(), TopicsPath(path));
  if (kind == FileKind::kMissing) return;
  const std::string topic =
      WithoutSuffix(WithoutSuffix(folder.path, "/"), kOutSuffix);
  const TopicFault fault = CheckTopic(topic);
  if (fault != TopicFault::kNone) {
    Refuse(path, TopicFaultText(fault));
    return;
  }
  FifoOpening opening =
      OpenFifoToHold(parts_.bus->fd(), TopicsPath(path), parts_.bus->trust());
  if (opening.outcome == FifoOpenOutcome::kGone) return;
  if (opening.outcome != FifoOpenOutcome::kOpened) {
    Refuse(path, opening.refusal.empty() ? "no descriptors are left"
                                         : opening.refusal);
    return;
  }
  const uint32_t owner = FifoOwner(opening.fd.get());
  if (!parts_.table.snapshot()->rules().MaySubscribe(owner, topic)) {
    Refuse(path, kDenied);
    return;
  }
  auto out = TapOut::Open(topic, path, parts_, worker_, std::move(opening.fd));
  if (!out.ok()) {
    Refuse(path, std::string(out.status().message()));
    return;
  }
  {
    MutexLock lock(mutex_);
    shown_outs_[path] = {(*out)->egress(), owner};
  }
  outs_[path] = *std::move(out);
  SetMode(path, topic);
  const auto in = ins_.find(topic + std::string(kInSuffix));
  if (in != ins_.end()) in->second->Nudge();
  if (IsReserved(topic)) parts_.on_subscribed();
}

void TapTree::SetMode(const std::string& path, const std::string& topic) {
  const auto mode = parts_.table.snapshot()->rules().TapModeOf(topic);
  if (!mode) return;
  const absl::Status status =
      SetFifoMode(parts_.bus->fd(), TopicsPath(path), *mode);
  if (!status.ok()) {
    LogWarning("the mode of a tap was not set",
               {{"path", TopicsPath(path)}, {"error", status.message()}});
  }
}

void TapTree::MakeIn(const std::string& topic) {
  if (finishing_ || CheckTopicToPublish(topic) != TopicFault::kNone) return;
  const std::string path = topic + std::string(kInSuffix);
  // inotify reports it, and so it becomes a tap.
  if (mkfifoat(parts_.bus->fd(), TopicsPath(path).c_str(), 0600) != 0 &&
      errno != EEXIST) {
    Refuse(path, std::strerror(errno));
  }
}

// `echo x > T.in` where T.in was missing has made a regular file: its content
// is kept, and the topic gets its FIFO.
void TapTree::MoveAside(const std::string& path) {
  const std::string aside =
      fmt::format("{}.aside-{}", path, absl::GetCurrentTimeNanos());
  if (renameat(parts_.bus->fd(), TopicsPath(path).c_str(), parts_.bus->fd(),
               TopicsPath(aside).c_str()) == 0) {
    LogWarning("a regular file stood in place of a tap and was moved aside",
               {{"path", TopicsPath(path)}, {"aside", TopicsPath(aside)}});
  }
}

void TapTree::Refuse(const std::string& path, std::string_view reason) {
  parts_.counters.names_refused.Add();
  LogWarning("tap refused", {{"path", TopicsPath(path)}, {"reason", reason}});
}

void TapTree::RetireIn(const std::string& path) {
  auto in = ins_.extract(path);
  if (in.empty()) return;
  // Its feed may be what drains these events right now.
  worker_.loop().Post(
      [retired = std::shared_ptr<TapIn>(std::move(in.mapped()))] {});
}

void TapTree::RetireOut(const std::string& path) {
  {
    MutexLock lock(mutex_);
    shown_outs_.erase(path);
  }
  outs_.erase(path);
}

void TapTree::RetireOutsBelow(const std::string& folder_path) {
  std::vector<std::string> paths;
  for (auto out = outs_.lower_bound(folder_path);
       out != outs_.end() && out->first.starts_with(folder_path); ++out) {
    paths.push_back(out->first);
  }
  for (const std::string& path : paths) RetireOut(path);
}

}  // namespace fifobus
