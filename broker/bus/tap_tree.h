#ifndef FIFOBUS_BROKER_BUS_TAP_TREE_H_
#define FIFOBUS_BROKER_BUS_TAP_TREE_H_

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "broker/bus/bus_parts.h"
#include "broker/bus/stray_files.h"
#include "broker/bus/tap_set.h"
#include "broker/io/directory_watch.h"
#include "broker/io/event_loop.h"
#include "broker/io/name_state.h"
#include "broker/seam/state_chunks.h"
#include "broker/seam/state_ingresses.h"
#include "broker/state/broker_state.pb.h"
#include "broker/upgrade/state_file.h"

namespace fifobus {

// The folder topics/: what lies in it is a tap, whatever has happened to its
// name.
//
//   a/b.in        lines written to it are messages on topic a/b
//   a/b.out/      made together with a/b.in, whichever comes first
//   a/b.out/NAME  a subscriber of a/b: text, or .json, or .frames, or .durable
//   a/            a level of topics
//   a/b.last      no tap: see RetainedFiles
//
// All folders are watched. An event says only which name to look at: what is
// known of it is compared with what lies there, by the file's identity, so that
// a name is right after however many renames. What may pass, such as a lack of
// descriptors or a full file system, is looked at again every moment until it
// has passed; otherwise there is no timer.
//
// Events are also drained when a tap has bytes, before they are routed, so that
// a FIFO made before a line was written gets that line.
//
// Worker-affine, but for NudgeIns and AppendStats.
class TapTree {
 public:
  TapTree(BusParts& parts, Worker& worker);

  absl::Status Open();

  // Takes no names in until GoOn. For an upgrade.
  void Hold();
  void GoOn();
  // What it has goes over in `state`, and the names that it refuses in `broker`.
  void Export(StateChunks& chunks, const StateIngresses& ingresses,
              pb::state::Broker& broker, StateWriter& state) const;
  void AddIngresses(StateIngresses& ingresses) const {
    taps_.AddIngresses(ingresses);
  }
  // Of another broker, before Open. A tap whose FIFO has lost its name meanwhile
  // ends there.
  void Restore(const pb::state::Broker& broker);
  absl::Status Restore(const pb::state::Record& tap, const StateChunks& chunks,
                       StateIngresses& ingresses);

  // As of TapSet.
  void Finish();
  bool finished() const { return taps_.finished(); }
  size_t queued_bytes() const { return taps_.queued_bytes(); }
  size_t unread_bytes() const { return taps_.unread_bytes(); }
  TapSet::Leftover Close();

  // Other rules are in force: taps that are not allowed any more end, those
  // that are now begin.
  void OnRules();

  // Any thread: lines may have a subscriber now.
  void NudgeIns();

  // Any thread.
  void AppendStats(pb::StatsReply& reply) const { taps_.AppendStats(reply); }

 private:
  // Folders are named by their path below topics/ with a slash at the end, and
  // topics/ itself by the empty path.
  struct Folder {
    int watch = DirectoryWatch::kNoWatch;
    FileIdentity identity;
  };

  void OnEvent(const DirectoryEvent& event);
  void OnFolderGone(const std::string& folder);
  // Makes the tap or folder at the path what lies there now.
  void Look(const std::string& path);
  void LookAt(const std::string& path, const NameState& now);
  void LookAtAll();
  void LookAgainLater(const std::string& path);
  void LookAgain();

  // Forgets what is known of the path, unless it still lies there.
  void EndIfChanged(const std::string& path, const NameState& now);
  void AddIn(const std::string& path, const NameState& now);
  void AddOut(const std::string& path, const NameState& now);
  void AddFolder(const std::string& folder);
  void AddLevel(const std::string& path);
  void AddOutFolder(const std::string& path);
  void EndFolder(const std::string& folder);
  void MakeIn(const std::string& topic);
  void MakeOutFolder(const std::string& topic);
  void MakeCreated();
  void MakeLevels(const std::string& topic);
  // Looks later whether the other one of a topic's two names is still wanted.
  void OnHalfGone(const std::string& path);

  void TakeStray(const std::string& path);

  // Counts a name that cannot become a tap, and says why, once for each reason.
  // kUnavailable may pass: the name is looked at again, or `look_at` is.
  void Refuse(const std::string& path, const absl::Status& status);
  void Refuse(const std::string& path, const absl::Status& status,
              const std::string& look_at);
  void Accept(const std::string& path);

  std::string FullPath(const std::string& path) const;

  BusParts& parts_;
  Worker& worker_;
  TapSet taps_;
  std::unique_ptr<DirectoryWatch> watch_;
  bool finishing_ = false;
  bool held_ = false;
  std::map<std::string, Folder> folders_;
  std::map<int, std::string> watches_;
  // Why names are no taps.
  std::map<std::string, std::string> refused_;
  std::set<std::string> look_again_;
  std::optional<EventLoop::TimerId> look_again_timer_;
  StrayFiles strays_;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_BUS_TAP_TREE_H_
