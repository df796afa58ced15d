#ifndef FIFOBUS_BROKER_KEEPER_KEPT_BROKER_H_
#define FIFOBUS_BROKER_KEEPER_KEPT_BROKER_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "broker/base/unique_fd.h"

// A broker that a keeper runs: the process as the keeper sees it, and what the
// process knows of its keeper. Between them are a variable of the environment,
// $FIFOBUS_KEPT, and a pipe through which the broker says that it serves.
namespace fifobus {

// How to run a broker.
struct BrokerCommand {
  std::string program;             // its path
  std::vector<std::string> words;  // argv, the program's name included
  // Runs in the child before execv(2): nothing but system calls.
  void (*before_exec)() = [] {};
};

// A child process that is a broker. It does not end with this object, nor with
// this process. Single-threaded.
class KeptBroker {
 public:
  // `restarts` is how many brokers of this keeper have died before.
  static absl::StatusOr<KeptBroker> Start(const BrokerCommand& command,
                                          uint64_t restarts);

  pid_t pid() const { return pid_; }
  // Readable when the broker serves, or has ended; -1 once IsReady was true.
  int ready_fd() const { return ready_.valid() ? ready_.get() : -1; }
  // Whether it has said that it serves.
  bool IsReady();

  // Does nothing once the end was seen.
  void Signal(int number) const;
  // How it ended: its exit code, or minus the signal that ended it. Nothing
  // while it runs.
  std::optional<int> Poll();

 private:
  KeptBroker(pid_t pid, UniqueFd ready) : pid_(pid), ready_(std::move(ready)) {}

  pid_t pid_;
  UniqueFd ready_;
  bool is_ready_ = false;
  std::optional<int> result_;
};

// The broker's side. Single-threaded.
class KeeperOfThis {
 public:
  // What the environment says. The descriptor is taken out of it, so that a
  // program that takes this one's place by execve(2) learns of the keeper, too.
  // REQUIRES: there is one thread.
  static KeeperOfThis FromEnvironment();

  // Whether there is, or was, a keeper.
  bool exists() const { return exists_; }
  // How many brokers have died before this one.
  uint64_t restarts() const { return restarts_; }
  // Tells the keeper that clients are served.
  void TellReady();

 private:
  bool exists_ = false;
  uint64_t restarts_ = 0;
  UniqueFd ready_;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_KEEPER_KEPT_BROKER_H_
