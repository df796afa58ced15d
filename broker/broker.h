#ifndef FIFOBUS_BROKER_BROKER_H_
#define FIFOBUS_BROKER_BROKER_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "broker/base/mutex.h"
#include "broker/bus/bus_parts.h"
#include "broker/bus/log_set.h"
#include "broker/bus/retained_files.h"
#include "broker/bus/session_door.h"
#include "broker/bus/session_link.h"
#include "broker/bus/sys_stats.h"
#include "broker/bus/tap_tree.h"

namespace fifobus {

// A running bus. It owns its directory, its threads, its sessions and its taps;
// DESIGN.md shows how they work together.
//
//   auto broker = Broker::Start(options);
//   ...
//   (*broker)->Stop();
//
// Thread-compatible: the work is done on the workers' threads.
class Broker : public StatsSource {
 public:
  // When it returns, clients are served. Fails with a text that says what to do:
  // see BusDirectory::Open. Changes no signal and no other state of the process.
  static absl::StatusOr<std::unique_ptr<Broker>> Start(
      const BrokerOptions& options);

  // Stops, if Stop was not called.
  ~Broker() override;

  // What a stop could not deliver.
  struct Leftover {
    size_t sessions = 0;  // that did not hang up in time
    size_t bytes = 0;     // that subscribers did not read in time
    // That the broker did not read, because it held their publishers back.
    size_t unread_bytes = 0;
    uint64_t lines = 0;     // of taps, without a subscriber
    uint64_t messages = 0;  // in taps without a reader
  };

  // Says Goodbye to all clients, lets publishers finish, delivers what is
  // queued (for at most options.drain_timeout), and closes everything. To be
  // called once.
  Leftover Stop();

  // Puts other rules in place of options.topics. A subscriber that the new
  // rules no longer allow gets an Error and is ended. If a rule is bad, this
  // fails and changes nothing. Not during Stop.
  absl::Status SetTopicRules(const std::vector<TopicRule>& rules);

  // Puts other rules in place of options.logs. A log that they do not name takes
  // nothing more and keeps what it has. If a rule is bad or a log cannot be
  // opened, this fails and changes nothing. Not during Stop.
  absl::Status SetLogs(const std::vector<LogRule>& rules);

  pb::StatsReply CollectStats() const override;
  pb::StatsReply CollectTopic(const std::string& topic) const override;
  const BrokerOptions& options() const { return parts_.options; }

 private:
  explicit Broker(const BrokerOptions& options) : parts_(options) {}

  absl::Status StartWorkers();
  void MakeGroups();
  absl::Status OpenLogs();
  absl::Status OpenDoors();
  void OnPair(UniqueFd up, UniqueFd down);
  std::vector<std::shared_ptr<SessionLink>> Links() const;
  // Runs `task` on the workers' threads and waits for it.
  void RunOn(Worker& worker, const std::function<void()>& task) const;
  Leftover Undelivered() const;
  void LogStop(const Leftover& leftover) const;

  BusParts parts_;
  std::unique_ptr<LogSet> logs_;
  std::unique_ptr<RetainedFiles> retained_files_;
  std::unique_ptr<SessionDoor> door_;
  std::unique_ptr<TapTree> taps_;
  std::unique_ptr<SysStats> sys_stats_;
  bool stopped_ = false;

  // Of the worker with the doors.
  uint64_t sessions_made_ = 0;

  mutable Mutex mutex_;
  std::map<uint64_t, std::shared_ptr<SessionLink>> links_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_BROKER_H_
