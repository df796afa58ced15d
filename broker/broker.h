#ifndef FIFOBUS_BROKER_BROKER_H_
#define FIFOBUS_BROKER_BROKER_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "broker/base/mutex.h"
#include "broker/bus/bus_parts.h"
#include "broker/bus/log_set.h"
#include "broker/bus/retained_files.h"
#include "broker/bus/session_door.h"
#include "broker/bus/session_link.h"
#include "broker/bus/sys_stats.h"
#include "broker/bus/tap_tree.h"
#include "broker/io/parked_workers.h"
#include "broker/seam/state_chunks.h"
#include "broker/seam/state_ingresses.h"
#include "broker/state/broker_state.pb.h"
#include "broker/upgrade/state_file.h"
#include "broker/upgrade/successor.h"

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

  // The same for a broker that goes on with what another one in this process has
  // handed over (Upgrade). Nobody is told of it. If that fails, `give_up` is
  // called while nothing is read or written, and does not return.
  using GiveUp = absl::FunctionRef<void(const absl::Status&)>;
  static std::unique_ptr<Broker> Restore(const BrokerOptions& options,
                                         StateReader state, GiveUp give_up);

  // Has this process become `successor`, which goes on with everything: it does
  // not return then. If that is not possible, this broker goes on, and the error
  // says why. `request` is handed over. Not during Stop.
  absl::Status Upgrade(const Successor& successor, const std::string& request);

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
  // How often the process has become another program; for how long no publisher
  // was read the last time, and the request of that.
  uint64_t upgrades() const { return parts_.upgrades; }
  absl::Duration pause() const { return pause_; }
  const std::string& request() const { return request_; }

 private:
  explicit Broker(const BrokerOptions& options) : parts_(options) {}

  static absl::Status CheckRules(const BrokerOptions& options);
  absl::Status StartWorkers();
  void MakeGroups();
  absl::Status OpenLogs();
  void MakeDoors();
  absl::Status OpenDoors();

  // Steps of Upgrade. While it is held, nobody is let in and no publisher is
  // read; what was read is passed on.
  void Hold();
  void GoOn();
  absl::StatusOr<std::unique_ptr<ParkedWorkers>> ComeToRest();
  StateWriter Collect(ParkedWorkers& parked, const std::string& request);
  void ExportBroker(const std::string& request, pb::state::Broker& state) const;
  void CollectShared(StateChunks& chunks, const StateIngresses& ingresses,
                     StateWriter& state);
  absl::Status HandOver(const Successor& successor, const std::string& request);

  // Steps of Restore.
  struct Restoring;
  absl::Status BeginRestoring(StateReader& state, pb::state::Broker& before);
  absl::Status RestoreAll(StateReader& state, Restoring& restoring);
  absl::Status RestoreRecord(const pb::state::Record& record,
                             Restoring& restoring);
  void RestoreShared(const pb::state::Record& record, Restoring& restoring);
  absl::Status RestoreSession(const pb::state::SessionLink& session,
                              Restoring& restoring);
  absl::Status FinishRestoring(Restoring& restoring);

  void KeepLink(std::shared_ptr<SessionLink> link);
  void ForgetLink(uint64_t number);
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
  absl::Duration paused_at_ = absl::ZeroDuration();
  absl::Duration pause_ = absl::ZeroDuration();
  std::string request_;

  // Of the worker with the doors.
  uint64_t sessions_made_ = 0;

  mutable Mutex mutex_;
  std::map<uint64_t, std::shared_ptr<SessionLink>> links_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_BROKER_H_
