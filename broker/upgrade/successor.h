#ifndef FIFOBUS_BROKER_UPGRADE_SUCCESSOR_H_
#define FIFOBUS_BROKER_UPGRADE_SUCCESSOR_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "broker/upgrade/state_file.h"

// The program that is to go on in this process, and how it learns that it is
// one: $FIFOBUS_STATE, "check:FD" or "restore:FD", names the state.
//
// A program that checks reads the state and its own command line and
// configuration, prints SuccessorReply on standard output if it can go on, and
// ends. One that restores has the process already.
namespace fifobus {

struct Successor {
  std::string program;             // its path
  std::vector<std::string> words;  // argv, as of this process
};

// Runs the program to check the state. Fails, with what the program said, unless
// it says that it can take the state over. Thread-safe.
absl::Status CheckState(const Successor& successor, const StateFile& state,
                        absl::Duration patience);

// Becomes the program, which restores the state: execve(2). Of the descriptors
// of this process only the standard ones, the state's and those that it names
// stay open. Returns only if that failed, and then nothing has changed.
absl::Status Become(const Successor& successor, const StateFile& state);

// Becomes the program without a state: what was kept open is closed. Returns
// only if that failed.
absl::Status BecomeAnew(const Successor& successor);

// What a program is asked to do by its environment, which forgets it.
struct StateTask {
  enum class Kind { kCheck, kRestore };
  Kind kind = Kind::kCheck;
  int fd = -1;
};
// REQUIRES: there is one thread.
std::optional<StateTask> TakeStateTask();

// The line that says that the state is good. It depends on the state, so that no
// program says it by chance.
std::string SuccessorReply(uint64_t records, uint64_t bytes);

// The program that this process runs, even if its file was replaced since.
absl::StatusOr<std::string> ProgramOfThis();
// argv as the kernel has it: proc(5).
std::vector<std::string> CommandLineOfThis();

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_UPGRADE_SUCCESSOR_H_
