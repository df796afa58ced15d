#include "broker/io/inotify.h"

#include <dirent.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "fmt/format.h"

namespace fifobus {
namespace {

DirectoryEvent::Kind KindOf(uint32_t mask) {
  if ((mask & (IN_CREATE | IN_MOVED_TO)) != 0) {
    return DirectoryEvent::Kind::kAppeared;
  }
  if ((mask & (IN_DELETE | IN_MOVED_FROM)) != 0) {
    return DirectoryEvent::Kind::kVanished;
  }
  if ((mask & IN_ATTRIB) != 0) return DirectoryEvent::Kind::kChanged;
  if ((mask & IN_OPEN) != 0) return DirectoryEvent::Kind::kOpened;
  if ((mask & IN_MOVE_SELF) != 0) return DirectoryEvent::Kind::kMoved;
  return DirectoryEvent::Kind::kUnwatched;
}

void Deliver(const char* events, size_t size, const Inotify::OnEvent& on_event,
             const Inotify::OnOverflow& on_overflow) {
  while (size > 0) {
    inotify_event header;
    std::memcpy(&header, events, sizeof(header));
    // The name is padded with zeros up to header.len.
    const char* name = header.len > 0 ? events + sizeof(header) : "";
    events += sizeof(header) + header.len;
    size -= sizeof(header) + header.len;
    if ((header.mask & IN_Q_OVERFLOW) != 0) {
      on_overflow();
      continue;
    }
    on_event({header.wd, KindOf(header.mask), name});
  }
}

}  // namespace

absl::StatusOr<Inotify> Inotify::Open() {
  UniqueFd fd(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  if (!fd.valid()) {
    return absl::ErrnoToStatus(
        errno, "inotify_init1; see fs.inotify.max_user_instances");
  }
  return Inotify(std::move(fd));
}

absl::StatusOr<int> Inotify::Watch(const std::string& path, Opens opens) {
  uint32_t mask = IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_MOVED_FROM |
                  IN_ATTRIB | IN_MOVE_SELF | IN_ONLYDIR | IN_DONT_FOLLOW |
                  IN_EXCL_UNLINK;
  if (opens == Opens::kReported) mask |= IN_OPEN;
  const int watch = inotify_add_watch(fd_.get(), path.c_str(), mask);
  if (watch < 0) {
    return absl::ErrnoToStatus(
        errno,
        fmt::format(
            "watch {}{}", path,
            errno == ENOSPC ? " (see fs.inotify.max_user_watches)" : ""));
  }
  return watch;
}

void Inotify::Unwatch(int watch) {
  // Fails if the directory is gone, and the watch with it.
  (void)inotify_rm_watch(fd_.get(), watch);
}

void Inotify::Drain(const OnEvent& on_event, const OnOverflow& on_overflow) {
  alignas(inotify_event) char events[16384];
  while (true) {
    const ssize_t size = read(fd_.get(), events, sizeof(events));
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return;
    Deliver(events, static_cast<size_t>(size), on_event, on_overflow);
  }
}

absl::StatusOr<std::vector<std::string>> ListDirectory(
    const std::string& path) {
  DIR* directory = opendir(path.c_str());
  if (directory == nullptr) {
    return absl::ErrnoToStatus(errno, fmt::format("opendir {}", path));
  }
  std::vector<std::string> names;
  while (const dirent* entry = readdir(directory)) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  closedir(directory);
  return names;
}

}  // namespace fifobus
