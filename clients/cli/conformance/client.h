#ifndef FIFOBUS_CLIENTS_CLI_CONFORMANCE_CLIENT_H_
#define FIFOBUS_CLIENTS_CLI_CONFORMANCE_CLIENT_H_

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "broker/base/unique_fd.h"

namespace fifobus::cli {

// How long `conformance` waits for a client to do something. Generous, because
// an interpreter starts slowly on a busy machine.
inline constexpr absl::Duration kPatience = absl::Seconds(10);

// The client that is tested: a process with pipes for its standard input and
// output, killed at the end. Its standard error is this program's own if
// `verbose`. Thread-compatible.
class ConformanceClient {
 public:
  static absl::StatusOr<ConformanceClient> Start(
      const std::vector<std::string>& command, bool verbose);
  ConformanceClient(ConformanceClient&& other) noexcept;
  ConformanceClient& operator=(ConformanceClient&&) = delete;
  ~ConformanceClient();

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
  ConformanceClient() = default;
  void Reap(int wait_options);

  pid_t pid_ = -1;
  bool ended_ = false;
  int wait_status_ = 0;
  UniqueFd input_;
  UniqueFd output_;
  std::string printed_;
};

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_CONFORMANCE_CLIENT_H_
