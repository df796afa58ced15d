#ifndef FIFOBUS_BROKER_BUS_SESSION_DOOR_H_
#define FIFOBUS_BROKER_BUS_SESSION_DOOR_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "broker/base/sparse_log.h"
#include "broker/base/unique_fd.h"
#include "broker/bus/bus_parts.h"
#include "broker/io/descriptor_reserve.h"
#include "broker/io/directory_watch.h"
#include "broker/io/event_loop.h"

namespace fifobus {

// Where clients come in. Watches sessions/, opens and checks the pairs of FIFOs
// that appear there, removes their names and passes the pipes on.
//
//   ID.down, ID.up    a complete pair; `up` appears last
//   .ID.down, .ID.up  being made; left alone unless they are old
//
// Worker-affine: the worker with the taps.
class SessionDoor {
 public:
  using OnPair = std::function<void(UniqueFd up, UniqueFd down)>;

  SessionDoor(BusParts& parts, Worker& worker, OnPair on_pair);

  // Begins to watch, and lets in the clients that wait already. Removes what a
  // dead broker or dead clients left.
  absl::Status Open();
  // Lets no client in until GoOn: those that come wait under their names.
  void Hold() { held_ = true; }
  void GoOn();
  // Lets no client in any more, and removes the names of those that wait.
  void Close();

 private:
  // sessions/ of the bus, by its full path.
  std::string Folder() const;
  void OnEvent(const DirectoryEvent& event);
  // Makes the folder if it is missing, and watches it.
  absl::Status Watch();
  // sessions/ was removed or renamed.
  void OnFolderGone();
  void Rescan();
  void RescanLater();
  void LogSometimes(std::string_view event, const absl::Status& status);
  void Admit(const std::string& id);
  void Refuse(const std::string& id, const std::string& name,
              const std::string& reason);
  // No descriptors are left for the pair: the client is told so.
  void TurnAway(const std::string& id);
  absl::Status RemovePair(const std::string& id);
  void RemoveIfOld(const std::string& name);

  BusParts& parts_;
  Worker& worker_;
  const OnPair on_pair_;
  DescriptorReserve reserve_;
  std::unique_ptr<DirectoryWatch> watch_;
  absl::Duration last_rescan_;
  absl::Duration last_turned_away_log_ = -absl::InfiniteDuration();
  std::optional<EventLoop::TimerId> rescan_timer_;
  bool held_ = false;
  int watch_number_ = DirectoryWatch::kNoWatch;
  SparseLog errors_;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_BUS_SESSION_DOOR_H_
