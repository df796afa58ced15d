#ifndef FIFOBUS_BROKER_BUS_STRAY_FILES_H_
#define FIFOBUS_BROKER_BUS_STRAY_FILES_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "broker/bus/bus_parts.h"
#include "broker/bus/stray_file.h"
#include "broker/io/event_loop.h"
#include "broker/io/worker.h"
#include "broker/state/broker_state.pb.h"
#include "broker/upgrade/state_file.h"

namespace fifobus {

// The stray files of a bus whose lines are not all published yet. Has a timer
// only while there are any. Worker-affine.
class StrayFiles {
 public:
  StrayFiles(BusParts& parts, Worker& worker);

  // Moves the file at topics/`path` aside, and begins to publish its lines when
  // the topic's FIFO is there.
  absl::Status Add(const std::string& path);

  // Moves no lines until GoOn.
  void Hold() { held_ = true; }
  void GoOn();
  void Export(StateWriter& state) const;
  void Restore(const pb::state::StrayFile& file);

  // Publishes what can be published at once.
  void MoveLines();

  // Ends, and says which files were not published to their end.
  void Close();

 private:
  BusParts& parts_;
  Worker& worker_;
  std::vector<std::unique_ptr<StrayFile>> files_;
  std::optional<EventLoop::TimerId> timer_;
  bool held_ = false;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_BUS_STRAY_FILES_H_
