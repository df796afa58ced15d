#ifndef FIFOBUS_BROKER_KEEPER_KEEPER_H_
#define FIFOBUS_BROKER_KEEPER_KEEPER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "broker/base/unique_fd.h"
#include "broker/keeper/held_taps.h"
#include "broker/keeper/kept_broker.h"
#include "broker/keeper/restart_delay.h"

namespace fifobus {

struct KeeperOptions {
  BrokerCommand broker;
  std::string dir;                   // the bus directory
  absl::Duration restart_delay_max;  // see RestartDelay
  // Whether SIGHUP has the broker reload. Otherwise it stops, as SIGTERM does.
  bool reloads = false;
  size_t taps_max = 0;
};

// The parent process of a broker. It starts the next broker when one has died,
// and holds the taps meanwhile (HeldTaps). It passes signals on, and ends when
// its broker ends in order. It has no memory of messages, and its own death
// harms nobody: the broker goes on without it.
//
// Single-threaded.
class Keeper {
 public:
  // A broker that has ended before it was ready so many times in a row is given
  // up: some 5 s of trying. Not tuned.
  static constexpr int kFailedStartsMax = 10;

  // `signals` is a signalfd of SIGCHLD, SIGTERM, SIGINT, SIGHUP and
  // SIGUSR2, which it passes on: the broker upgrades itself.
  Keeper(KeeperOptions options, UniqueFd signals)
      : options_(std::move(options)),
        signals_(std::move(signals)),
        delay_(options_.restart_delay_max) {}

  // How the keeper ended.
  struct Result {
    int exit_code = 0;
    // Not 0: the process is to end by this signal.
    int signal = 0;
  };
  // Until the broker has ended in order, or is given up.
  Result Run();

 private:
  void Wait();
  absl::Duration Timeout() const;
  void OnReady();
  void FollowTaps();
  void TakeSignals();
  void OnSignal(int number);
  void PassOnUpgrade();
  // `how` the broker has ended: see KeptBroker::Poll.
  void OnEnd(int how);
  void OnStopped(int how);
  void OnFailedStart(int how);
  void StartBroker();
  void RestartLater(int how, absl::Duration served);
  void GiveUp(int exit_code, const std::string& why);
  void CountUnread();

  const KeeperOptions options_;
  const UniqueFd signals_;
  RestartDelay delay_;
  std::optional<KeptBroker> broker_;
  std::unique_ptr<HeldTaps> taps_;
  absl::Duration start_at_ = absl::ZeroDuration();  // while there is no broker
  absl::Duration ready_at_ = absl::ZeroDuration();
  bool is_ready_ = false;
  bool has_served_ = false;  // any broker, ever
  bool reload_owed_ = false;
  bool said_no_taps_ = false;
  int stop_signal_ = 0;
  int kill_signal_ = 0;  // the second one
  int failed_starts_ = 0;
  uint64_t restarts_ = 0;
  std::optional<Result> result_;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_KEEPER_KEEPER_H_
