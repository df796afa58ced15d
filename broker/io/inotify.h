#ifndef FIFOBUS_BROKER_IO_INOTIFY_H_
#define FIFOBUS_BROKER_IO_INOTIFY_H_

#include <cstddef>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "broker/base/unique_fd.h"

namespace fifobus {

// What happened in a watched directory.
struct DirectoryEvent {
  enum class Kind {
    kAppeared,   // the name was made, or moved here
    kVanished,   // the name was removed, or moved away
    kChanged,    // the file's owner, mode or number of names is another
    kOpened,     // somebody opened the file; only where asked for
    kMoved,      // the directory itself got another name
    kUnwatched,  // the directory itself is gone; no more events for it
  };
  int watch = 0;
  Kind kind = Kind::kAppeared;
  std::string name;  // empty: the directory itself
};

// Directories watched by inotify(7), without a loop of its own.
// Thread-compatible.
class Inotify {
 public:
  using OnEvent = std::function<void(const DirectoryEvent&)>;
  // Called when the kernel's queue has overflowed. Events are missing then, and
  // everything must be looked at anew.
  using OnOverflow = std::function<void()>;

  // A number that no watch has.
  static constexpr int kNoWatch = -1;

  static absl::StatusOr<Inotify> Open();

  // Readable when something has happened.
  int fd() const { return fd_.get(); }

  enum class Opens { kIgnored, kReported };

  // Watches a directory from now on. Watching it again gives the same number.
  absl::StatusOr<int> Watch(const std::string& path, Opens opens);
  void Unwatch(int watch);

  // Delivers what has happened up to now. Not from within a call of its own.
  void Drain(const OnEvent& on_event, const OnOverflow& on_overflow);

 private:
  explicit Inotify(UniqueFd fd) : fd_(std::move(fd)) {}

  UniqueFd fd_;
};

// The names in a directory but for "." and "..".
absl::StatusOr<std::vector<std::string>> ListDirectory(const std::string& path);

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_IO_INOTIFY_H_
