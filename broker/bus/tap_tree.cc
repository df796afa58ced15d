#include "broker/bus/tap_tree.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "broker/base/log.h"
#include "fmt/format.h"
#include "proto/bus_paths.h"
#include "proto/topic.h"

namespace fifobus {
namespace {

// How often a name is looked at again whose trouble may pass, and when a topic
// that has lost one of its two names gets it back: late enough for one `rm -r`
// to remove both, soon enough for people. Not tuned.
constexpr absl::Duration kLookAgain = absl::Milliseconds(300);

absl::Status Passing(int error) {
  return absl::UnavailableError(std::strerror(error));
}

absl::Status CheckTapTopic(std::string_view topic) {
  const TopicFault fault = CheckTopic(topic);
  if (fault == TopicFault::kNone) return absl::OkStatus();
  const std::string_view text = TopicFaultText(fault);
  return absl::InvalidArgumentError(
      fmt::format("the topic \"{}\" {}", topic, text));
}

// When the other name goes, nothing tells of it here.
absl::Status CheckOneName(const NameState& now) {
  return now.kind == FileKind::kFifo && now.names > 1
             ? absl::UnavailableError("it has several names")
             : absl::OkStatus();
}

bool IsOutFolder(std::string_view folder) {
  return folder.ends_with(fmt::format("{}/", kOutSuffix));
}

// The folder that the path lies in.
std::string FolderOf(const std::string& path) {
  return path.substr(0, path.rfind('/') + 1);
}

}  // namespace

TapTree::TapTree(BusParts& parts, Worker& worker)
    : parts_(parts),
      worker_(worker),
      taps_(
          parts, worker,
          [this] {
            if (watch_) watch_->Drain();
          },
          [this](const std::string& path) { Look(path); }),
      strays_(parts, worker) {}

std::string TapTree::FullPath(const std::string& path) const {
  return fmt::format("{}/{}", parts_.bus->path(), TopicsPath(path));
}

absl::Status TapTree::Open() {
  auto watch = DirectoryWatch::Open(
      worker_, [this](const DirectoryEvent& event) { OnEvent(event); },
      [this] {
        LogWarning("events were lost, looking at all taps anew",
                   {{"bus", parts_.bus->path()}});
        LookAtAll();
      });
  if (!watch.ok()) return watch.status();
  watch_ = *std::move(watch);
  AddFolder("");
  // Those of the broker before this one, if it was upgraded: their names may be
  // gone, or readers may have come.
  for (const std::string& path : taps_.Paths()) {
    Look(path);
    taps_.OnOpened(path);
  }
  strays_.MoveLines();
  taps_.EndStart();
  MakeCreated();
  return absl::OkStatus();
}

void TapTree::OnRules() {
  if (finishing_) return;
  for (const std::string& path : taps_.EndDenied()) {
    Refuse(path, absl::PermissionDeniedError(kTapDenied));
  }
  MakeCreated();
  LookAtAll();
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
  strays_.MoveLines();
  taps_.Finish();
}

TapSet::Leftover TapTree::Close() {
  if (look_again_timer_) {
    worker_.loop().Cancel(*std::exchange(look_again_timer_, std::nullopt));
  }
  strays_.Close();
  watch_.reset();
  return taps_.Close();
}

void TapTree::NudgeIns() {
  worker_.loop().Post([this] { taps_.NudgeIns(); });
}

void TapTree::OnEvent(const DirectoryEvent& event) {
  const auto watched = watches_.find(event.watch);
  if (held_ || watched == watches_.end()) return;
  const std::string folder = watched->second;
  const std::string path = folder + event.name;
  switch (event.kind) {
    case DirectoryEvent::Kind::kAppeared:
    case DirectoryEvent::Kind::kVanished:
    case DirectoryEvent::Kind::kChanged:
      if (!event.name.empty()) Look(path);
      break;
    case DirectoryEvent::Kind::kOpened:
      taps_.OnOpenEvent(path);
      break;
    case DirectoryEvent::Kind::kMoved:
      // Of others their parent tells; that of topics/ is not watched.
      if (folder.empty()) OnFolderGone(folder);
      break;
    case DirectoryEvent::Kind::kUnwatched:
      OnFolderGone(folder);
      break;
  }
}

void TapTree::OnFolderGone(const std::string& folder) {
  EndFolder(folder);
  if (!folder.empty() || finishing_) return;
  LogWarning("the folder topics was removed or renamed, and is made anew",
             {{"bus", parts_.bus->path()}});
  LookAgainLater("");
}

void TapTree::Look(const std::string& path) {
  const std::string name = path.substr(FolderOf(path).size());
  if (name.starts_with('.')) return;        // somebody's temporary name
  if (name.ends_with(kLastSuffix)) return;  // see RetainedFiles
  const NameState now = StateOf(parts_.bus->fd(), TopicsPath(path));
  EndIfChanged(path, now);
  if (!finishing_) LookAt(path, now);
}

void TapTree::LookAt(const std::string& path, const NameState& now) {
  if (now.kind == FileKind::kMissing) {
    refused_.erase(path);
    OnHalfGone(path);
  } else if (IsOutFolder(FolderOf(path))) {
    AddOut(path, now);
  } else if (path.ends_with(kInSuffix)) {
    if (now.kind == FileKind::kRegular) {
      TakeStray(path);
    } else {
      AddIn(path, now);
    }
  } else if (now.kind == FileKind::kFolder) {
    if (path.ends_with(kOutSuffix)) {
      AddOutFolder(path);
    } else {
      AddLevel(path);
    }
  }
}

void TapTree::EndIfChanged(const std::string& path, const NameState& now) {
  if (taps_.Has(path) && !taps_.IsAt(path, now)) {
    Log(now.kind == FileKind::kMissing ? LogLevel::kDebug : LogLevel::kInfo,
        now.kind == FileKind::kMissing
            ? "tap ended: its FIFO was removed or renamed"
            : "tap ended: another file has taken its name",
        {{"path", TopicsPath(path)}});
    taps_.End(path);
  }
  const auto folder = folders_.find(path + "/");
  if (folder != folders_.end() && (now.kind != FileKind::kFolder ||
                                   folder->second.identity != now.identity)) {
    EndFolder(path + "/");
  }
}

void TapTree::EndFolder(const std::string& folder) {
  for (auto at = folders_.lower_bound(folder);
       at != folders_.end() && at->first.starts_with(folder);) {
    watch_->Unwatch(at->second.watch);
    watches_.erase(at->second.watch);
    at = folders_.erase(at);
  }
  for (auto at = refused_.lower_bound(folder);
       at != refused_.end() && at->first.starts_with(folder);) {
    at = refused_.erase(at);
  }
  const size_t taps = taps_.EndBelow(folder);
  if (taps > 0) {
    LogInfo("taps ended: their folder was removed or renamed",
            {{"path", TopicsPath(folder)}, {"taps", taps}});
  }
}

// Adding what is known does nothing, so this is for anything that may have
// changed unseen.
void TapTree::LookAtAll() {
  for (const std::string& path : taps_.Paths()) {
    Look(path);
    taps_.OnOpened(path);  // a reader's opening may have been lost too
  }
  std::vector<std::string> folders;
  for (const auto& [folder, known] : folders_) folders.push_back(folder);
  for (const std::string& folder : folders) {
    if (!folder.empty()) Look(folder.substr(0, folder.size() - 1));
  }
  for (const std::string& folder : folders) {
    if (folders_.contains(folder)) AddFolder(folder);
  }
}

void TapTree::LookAgainLater(const std::string& path) {
  look_again_.insert(path);
  if (look_again_timer_) return;
  look_again_timer_ = worker_.loop().RunAfter(kLookAgain, [this] {
    look_again_timer_.reset();
    LookAgain();
  });
}

void TapTree::LookAgain() {
  if (held_) return;  // GoOn looks at everything
  for (const std::string& path : std::exchange(look_again_, {})) {
    if (finishing_) return;
    if (!path.empty()) {
      Look(path);
      continue;
    }
    const absl::Status status = parts_.bus->MakeFolder(kTopicsFolder);
    if (status.ok()) {
      AddFolder("");
    } else {
      Refuse("", absl::UnavailableError(status.message()));
    }
  }
}

// A topic's `.in` and `.out/` belong together: the broker makes the one that is
// missing. When one goes, there is a moment for the other to go as well.
void TapTree::OnHalfGone(const std::string& path) {
  if (path.ends_with(kInSuffix)) {
    const std::string out =
        WithoutSuffix(path, kInSuffix) + std::string(kOutSuffix);
    if (folders_.contains(out + "/")) LookAgainLater(out);
  } else if (path.ends_with(kOutSuffix)) {
    const std::string in =
        WithoutSuffix(path, kOutSuffix) + std::string(kInSuffix);
    if (taps_.Has(in)) LookAgainLater(in);
  }
}

void TapTree::AddFolder(const std::string& folder) {
  const NameState now = StateOf(parts_.bus->fd(), TopicsPath(folder));
  const auto watch = watch_->Watch(
      FullPath(folder), IsOutFolder(folder) ? DirectoryWatch::Opens::kReported
                                            : DirectoryWatch::Opens::kIgnored);
  if (!watch.ok()) {
    if (!absl::IsNotFound(watch.status())) {
      Refuse(folder, absl::UnavailableError(watch.status().message()));
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
  const auto names = ListDirectory(FullPath(folder));
  if (!names.ok()) {
    if (!absl::IsNotFound(names.status())) {
      Refuse(folder, absl::UnavailableError(names.status().message()));
    }
    return;
  }
  Accept(folder);
  for (const std::string& name : *names) Look(folder + name);
}

void TapTree::AddLevel(const std::string& path) {
  const absl::Status status = CheckTapTopic(path);
  if (!status.ok()) {
    Refuse(path, status);
  } else if (!folders_.contains(path + "/") || refused_.contains(path + "/")) {
    AddFolder(path + "/");
  }
}

void TapTree::AddOutFolder(const std::string& path) {
  const std::string topic = WithoutSuffix(path, kOutSuffix);
  const absl::Status status = CheckTapTopic(topic);
  if (!status.ok()) {
    Refuse(path, status);
    return;
  }
  if (!folders_.contains(path + "/") || refused_.contains(path + "/")) {
    AddFolder(path + "/");
  }
  if (!taps_.Has(topic + std::string(kInSuffix))) MakeIn(topic);
}

void TapTree::AddIn(const std::string& path, const NameState& now) {
  const std::string topic = WithoutSuffix(path, kInSuffix);
  if (!taps_.Has(path)) {
    absl::Status status = CheckTapTopic(topic);
    if (status.ok() && IsReserved(topic)) {
      status = absl::InvalidArgumentError("topics under $ are the broker's");
    }
    if (status.ok()) status = CheckOneName(now);
    if (status.ok()) status = taps_.AddIn(topic);
    if (!status.ok()) {
      Refuse(path, status);
      return;
    }
    Accept(path);
  }
  MakeOutFolder(topic);
}

void TapTree::AddOut(const std::string& path, const NameState& now) {
  if (taps_.Has(path)) return;
  const std::string topic =
      WithoutSuffix(WithoutSuffix(FolderOf(path), "/"), kOutSuffix);
  absl::Status status = CheckOneName(now);
  if (status.ok()) status = taps_.AddOut(topic, path);
  if (!status.ok()) {
    Refuse(path, status);
    return;
  }
  Accept(path);
  if (IsReserved(topic)) parts_.on_subscribed();
}

void TapTree::MakeIn(const std::string& topic) {
  if (IsReserved(topic)) return;  // the broker publishes on it by itself
  // inotify reports it, and so it becomes a tap.
  if (mkfifoat(parts_.bus->fd(), InPath(topic).c_str(), 0600) != 0 &&
      errno != EEXIST && errno != ENOENT) {
    Refuse(topic + std::string(kInSuffix), Passing(errno),
           topic + std::string(kOutSuffix));
  }
}

void TapTree::MakeOutFolder(const std::string& topic) {
  if (mkdirat(parts_.bus->fd(), OutPath(topic).c_str(), 0700) != 0 &&
      errno != EEXIST && errno != ENOENT) {
    Refuse(topic + std::string(kOutSuffix), Passing(errno),
           topic + std::string(kInSuffix));
  }
}

void TapTree::TakeStray(const std::string& path) {
  const std::string topic = WithoutSuffix(path, kInSuffix);
  absl::Status status = CheckTapTopic(topic);
  if (!status.ok() || IsReserved(topic)) {
    Refuse(path, absl::InvalidArgumentError("it is not a FIFO"));
    return;
  }
  status = strays_.Add(path);
  if (status.ok()) {
    Accept(path);
    MakeIn(topic);
  } else if (!absl::IsNotFound(status)) {
    Refuse(path, absl::UnavailableError(status.message()));
  }
}

void TapTree::Refuse(const std::string& path, const absl::Status& status) {
  Refuse(path, status,
         path.ends_with('/') ? path.substr(0, path.size() - 1) : path);
}

void TapTree::Refuse(const std::string& path, const absl::Status& status,
                     const std::string& look_at) {
  if (absl::IsUnavailable(status)) LookAgainLater(look_at);
  const std::string reason(status.message());
  std::string& known = refused_[path];
  if (known == reason) return;
  known = reason;
  parts_.counters.names_refused.Add();
  LogWarning("tap refused", {{"path", TopicsPath(path)}, {"reason", reason}});
}

void TapTree::Accept(const std::string& path) {
  const auto refused = refused_.extract(path);
  if (refused.empty()) return;
  LogInfo("tap accepted after all",
          {{"path", TopicsPath(path)}, {"refused_because", refused.mapped()}});
}

}  // namespace fifobus
