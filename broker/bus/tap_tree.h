#ifndef FIFOBUS_BROKER_BUS_TAP_TREE_H_
#define FIFOBUS_BROKER_BUS_TAP_TREE_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "broker/base/mutex.h"
#include "broker/bus/bus_parts.h"
#include "broker/bus/tap_ends.h"
#include "broker/io/directory_watch.h"

namespace fifobus {

// The folder topics/: what appears there becomes a tap, what vanishes ends one.
//
//   a/b.in        lines written to it are messages on topic a/b
//   a/b.out/      made together with a/b.in, whichever comes first
//   a/b.out/NAME  a subscriber of a/b: text, or .json, or .frames
//   a/            a level of topics
//   a/b.last      no tap: see RetainedFiles
//
// All folders are watched. Events are drained also when a tap has bytes, before
// they are routed, so that a FIFO made before a line was written gets that
// line; hence a tap never ends within such a call, but is retired and ends
// afterwards.
//
// Worker-affine but for AppendStats.
class TapTree {
 public:
  TapTree(BusParts& parts, Worker& worker);

  absl::Status Open();

  // Reads what was written to the `.in`s and closes them; `.out`s stay.
  void Finish();
  bool finished() const;
  size_t queued_bytes() const;
  // Ends all. The files stay for the next broker.
  void Close();

  // Other rules are in force: taps that are not allowed any more end, those
  // that are now begin.
  void OnRules();

  // Any thread: lines may have a subscriber now.
  void NudgeIns();

  void AppendStats(pb::StatsReply& reply) const;

 private:
  enum class FolderKind { kLevel, kOut };
  struct Folder {
    FolderKind kind = FolderKind::kLevel;
    // Below topics/, with a slash at its end unless it is topics/ itself.
    std::string path;
  };

  void OnEvent(const DirectoryEvent& event);
  void OnAppeared(const Folder& folder, const std::string& name);
  void OnVanished(const Folder& folder, const std::string& name);
  void Rescan();

  void AddFolder(const Folder& folder);
  void AddIn(const std::string& path);
  void AddOutFolder(const std::string& path);
  void AddOut(const Folder& folder, const std::string& name);
  void MakeIn(const std::string& topic);
  void MakeCreated();
  void MakeLevels(const std::string& topic);
  // Gives a FIFO the permissions that the rules name, if they do.
  void SetMode(const std::string& path, const std::string& topic);
  void MoveAside(const std::string& path);
  // Counts and logs a name that cannot become a tap.
  void Refuse(const std::string& path, std::string_view reason);
  void RetireIn(const std::string& path);
  void RetireOut(const std::string& path);
  void RetireOutsBelow(const std::string& folder_path);
  std::string FullPath(const std::string& path) const;

  BusParts& parts_;
  Worker& worker_;
  std::unique_ptr<DirectoryWatch> watch_;
  bool finishing_ = false;
  std::map<int, Folder> folders_;
  // By their path below topics/.
  std::map<std::string, std::unique_ptr<TapIn>> ins_;
  std::map<std::string, std::unique_ptr<TapOut>> outs_;

  mutable Mutex mutex_;
  // Of outs_, for AppendStats.
  struct Out {
    std::shared_ptr<Egress> egress;
    uint32_t owner = 0;
  };
  std::map<std::string, Out> shown_outs_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_BUS_TAP_TREE_H_
