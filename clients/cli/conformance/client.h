#ifndef FIFOBUS_CLIENTS_CLI_CONFORMANCE_CLIENT_H_
#define FIFOBUS_CLIENTS_CLI_CONFORMANCE_CLIENT_H_

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "broker/base/child_process.h"
#include "broker/base/unique_fd.h"

namespace fifobus::cli {

// How long `conformance` waits for a client to do something. Generous, because
// an interpreter starts slowly on a busy machine.
inline constexpr absl::Duration kPatience = absl::Seconds(10);

// The client that is tested: a child process with pipes for its standard input
// and output. Thread-compatible.
class ConformanceClient {
 public:
  // `verbose`: its standard error is this program's own, and not /dev/null.
  static absl::StatusOr<ConformanceClient> Start(
      const std::vector<std::string>& command, bool verbose);

  // Writes to its standard input, without waiting: as much as 64 KiB.
  absl::Status Type(std::string_view text);
  void CloseInput() { input_.Reset(); }

  // OK when its output begins with `expected`, which is then taken off.
  absl::Status Expect(std::string_view expected);

  // How it ended: its exit code, or minus the signal that ended it.
  absl::StatusOr<int> AwaitExit();
  bool IsRunning();
  void Terminate() const;

 private:
  ConformanceClient(ChildProcess process, UniqueFd input, UniqueFd output)
      : process_(std::move(process)),
        input_(std::move(input)),
        output_(std::move(output)) {}

  ChildProcess process_;
  UniqueFd input_;
  UniqueFd output_;
  std::string printed_;
};

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_CONFORMANCE_CLIENT_H_
