#ifndef FIFOBUS_CLIENTS_CLI_COMMAND_H_
#define FIFOBUS_CLIENTS_CLI_COMMAND_H_

#include <memory>
#include <optional>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "clients/cpp/client.h"

// What the subcommands share: how they end, and how they reach a bus.
namespace fifobus::cli {

// The process's exit codes. CLI11's own errors become kUsage.
enum Exit {
  kDone = 0,
  kFailed = 1,
  kUsage = 2,
  kTimedOut = 3,
};

// Prints "fifobus: TEXT" to standard error and returns kFailed; kTimedOut for
// DeadlineExceeded.
Exit Fail(const absl::Status& status);

// Adds an option that takes a duration: "1.5s", "200ms", "2m", or seconds. A
// shorter one than `least` is refused.
CLI::Option* AddDuration(CLI::App& app, const std::string& name,
                         absl::Duration& duration, const std::string& text,
                         absl::Duration least = absl::ZeroDuration());
// How often to do something: at most 1000 times a second.
CLI::Option* AddInterval(CLI::App& app, absl::Duration& interval,
                         const std::string& text);

// The options of every command that talks to a broker. Lives as long as the
// parser.
struct BusOptions {
  std::string dir;
  absl::Duration connect_timeout = absl::Seconds(5);

  void AddTo(CLI::App& app);
};

// --non-blocking and --busy-poll.
struct ModeOptions {
  bool non_blocking = false;
  bool busy_poll = false;

  void AddTo(CLI::App& app);
  Mode mode() const;
};

// Connects, waiting for a broker as the options say. `name` is shown by `ls`.
absl::StatusOr<std::unique_ptr<Client>> ConnectClient(
    const BusOptions& options, const std::string& name,
    ClientOptions client_options = {});
absl::StatusOr<std::unique_ptr<Client>> ConnectClient(
    const BusOptions& options, const std::string& name,
    std::optional<OwnedMessage> will);

// Waits until the client's fd() is readable or the deadline has come: what a
// program with its own event loop does in mode kNonBlocking.
void WaitReadable(const Client& client, absl::Time deadline);

// Each adds its subcommand to `app`. When it was chosen it runs inside
// app.parse and leaves its exit code in `exit`.
void AddServe(CLI::App& app, Exit& exit);
void AddPub(CLI::App& app, Exit& exit);
void AddSub(CLI::App& app, Exit& exit);
void AddReq(CLI::App& app, Exit& exit);
void AddReply(CLI::App& app, Exit& exit);
void AddPath(CLI::App& app, Exit& exit);
void AddLs(CLI::App& app, Exit& exit);
void AddTop(CLI::App& app, Exit& exit);
void AddInfo(CLI::App& app, Exit& exit);
void AddWhy(CLI::App& app, Exit& exit);
void AddMetrics(CLI::App& app, Exit& exit);
void AddBench(CLI::App& app, Exit& exit);
void AddConformance(CLI::App& app, Exit& exit);
void AddMan(CLI::App& app, Exit& exit);
void AddCompletion(CLI::App& app, Exit& exit);

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_COMMAND_H_
