#ifndef FIFOBUS_BROKER_IO_DIRECTORY_WATCH_H_
#define FIFOBUS_BROKER_IO_DIRECTORY_WATCH_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "broker/base/unique_fd.h"
#include "broker/io/event_loop.h"
#include "broker/io/worker.h"

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

// Directories watched by inotify(7). Worker-affine.
class DirectoryWatch : public Pollable {
 public:
  using OnEvent = std::function<void(const DirectoryEvent&)>;
  // Called when the kernel's queue has overflowed. Events are missing then, and
  // everything must be looked at anew.
  using OnOverflow = std::function<void()>;

  // A number that no watch has.
  static constexpr int kNoWatch = -1;

  static absl::StatusOr<std::unique_ptr<DirectoryWatch>> Open(
      Worker& worker, OnEvent on_event, OnOverflow on_overflow);
  ~DirectoryWatch() override;

  enum class Opens { kIgnored, kReported };

  // Watches a directory from now on. Watching it again gives the same number.
  absl::StatusOr<int> Watch(const std::string& path, Opens opens);
  void Unwatch(int watch);

  // Delivers what has happened up to now. Does nothing if a handler calls it.
  void Drain();

  void OnEvents(uint32_t events) override;

 private:
  DirectoryWatch(Worker& worker, UniqueFd fd, OnEvent on_event,
                 OnOverflow on_overflow);

  void Deliver(const char* events, size_t size);

  Worker& worker_;
  UniqueFd fd_;
  const OnEvent on_event_;
  const OnOverflow on_overflow_;
  EventLoop::Registration registration_;
  bool draining_ = false;
};

// The names in a directory but for "." and "..".
absl::StatusOr<std::vector<std::string>> ListDirectory(const std::string& path);

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_IO_DIRECTORY_WATCH_H_
