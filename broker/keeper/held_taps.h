#ifndef FIFOBUS_BROKER_KEEPER_HELD_TAPS_H_
#define FIFOBUS_BROKER_KEEPER_HELD_TAPS_H_

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "broker/base/unique_fd.h"
#include "broker/io/inotify.h"
#include "broker/io/name_state.h"

namespace fifobus {

// The taps of a bus, held open beside its broker: a reading end of each `.in`,
// a writing end of each FIFO in an `.out/`. While the broker is dead, a writer
// is neither held up nor broken, a reader meets no end, and what is unread
// stays. While it lives these ends change nothing for it, because they are of
// its own kind: a writer that leaves is a hang-up, and a reader that leaves an
// error, as without them.
//
// A `.frames` is not held: a killed broker may leave half a frame in it, and
// only the end of the stream tells its reader where the next one begins. Nor is a
// `.durable`: what its reader has not read comes again from the log.
//
// It follows the names: those that are made, removed and renamed, by the files'
// identities. It never reads or writes a byte.
//
// Single-threaded.
class HeldTaps {
 public:
  // Holds at most `taps_max` FIFOs. One line of the log says when there are more.
  static absl::StatusOr<std::unique_ptr<HeldTaps>> Open(const std::string& dir,
                                                        size_t taps_max);

  // Readable when names have changed.
  int fd() const { return inotify_.fd(); }
  // Looks at the names that have changed.
  void Update();

  // Whether the tree that it follows is still the one in the bus directory.
  bool IsCurrent() const;

  size_t taps() const { return taps_.size(); }
  // What was written to `.in`s and not read.
  size_t unread_bytes() const;

 private:
  struct Tap {
    UniqueFd fd;
    FileIdentity identity;
    bool is_in = false;
  };
  // Folders are named as TapTree's are: by their path below topics/ with a slash
  // at the end.
  struct Folder {
    int watch = Inotify::kNoWatch;
    FileIdentity identity;
  };

  HeldTaps(std::string dir, size_t taps_max, UniqueFd dir_fd, Inotify inotify)
      : dir_(std::move(dir)),
        taps_max_(taps_max),
        dir_fd_(std::move(dir_fd)),
        inotify_(std::move(inotify)) {}

  void OnEvent(const DirectoryEvent& event);
  void Look(const std::string& path);
  void LookAtAll();
  void EndIfChanged(const std::string& path, const NameState& now);
  void AddFolder(const std::string& folder);
  void EndFolder(const std::string& folder);
  void Hold(const std::string& path, bool is_in);
  void Release(const std::string& path);
  void SayOnce(const std::string& why);

  const std::string dir_;
  const size_t taps_max_;
  const UniqueFd dir_fd_;
  Inotify inotify_;
  std::map<std::string, Tap> taps_;
  std::map<std::string, Folder> folders_;
  std::map<int, std::string> watches_;
  // Some names could not be held. They are looked at again when others go.
  bool lacking_ = false;
  bool released_ = false;
  bool said_ = false;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_KEEPER_HELD_TAPS_H_
