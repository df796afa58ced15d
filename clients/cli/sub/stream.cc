#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "broker/base/unique_fd.h"
#include "clients/cli/attend.h"
#include "clients/cli/output.h"
#include "clients/cli/shell/shell_child.h"
#include "clients/cli/stop_signals.h"
#include "clients/cli/sub/sub_output.h"
#include "fmt/format.h"

namespace fifobus::cli {
namespace {

// What is gathered before it is written although more is waiting. As Output.
constexpr size_t kGatheredBytesMax = size_t{64} << 10;

// How long the command may take to finish after a signal has ended its input. A
// second signal ends it at once. Not tuned.
constexpr absl::Duration kFinishTime = absl::Seconds(5);

// One command that reads all messages, as in `fifobus sub | command`.
//
// States:  running --its end, or nobody reads its input--> over
// The command is never started again: a loop in the shell can do that.
class Streamer : public SubOutput {
 public:
  Streamer(Client& client, const SubOptions& options, Deadline deadline,
           UniqueFd signals, std::unique_ptr<ShellChild> child)
      : SubOutput(client, options),
        options_(options),
        deadline_(deadline),
        signals_(std::move(signals)),
        child_(std::move(child)) {}

  void Put(const Received& got) override {
    AppendMessage(got, options_, text_);
    acks_.Add(got);
    if (text_.size() >= kGatheredBytesMax) Write();
  }

  bool over() const override { return over_; }

  // Its end is waited for, as a shell waits for the end of a pipeline.
  Exit End(Exit otherwise) override {
    if (!over_) Write();
    child_->input().Reset();
    std::optional<int> exit_code;
    while (!(exit_code = child_->Reap())) {
      AwaitBusy({-1, 0, 0}, Deadline::Never());
    }
    if (*exit_code == 0 || StandardOutputIsUnread()) return otherwise;
    Warn(fmt::format("the command ended with {}", ExitText(*exit_code)));
    return kFailed;
  }

 private:
  Received Await(Deadline deadline) override {
    Write();
    if (!over_) AwaitSomething({client().fd(), POLLIN, 0}, deadline);
    return {};
  }

  // All that is gathered; waits while the command is busy, until the deadline.
  void Write() {
    // Also if there is always another message and nothing to wait for.
    AwaitSomething({-1, 0, 0}, Deadline::Now());
    size_t written = 0;
    while (written < text_.size() && !over_) {
      const ssize_t bytes = write(child_->input().get(), text_.data() + written,
                                  text_.size() - written);
      if (bytes >= 0) {
        written += static_cast<size_t>(bytes);
      } else if (errno == EAGAIN) {
        if (deadline_.HasCome()) break;
        AwaitBusy({child_->input().get(), POLLOUT, 0}, deadline_);
      } else if (errno != EINTR) {
        over_ = true;  // it does not want the rest
      }
    }
    text_.erase(0, written);
    if (text_.empty()) acks_.Send(client());
  }

  // As AwaitSomething, while nothing is received.
  void AwaitBusy(pollfd wanted, Deadline deadline) {
    pollfd ahead = WatchAhead();
    AwaitSomething(wanted, deadline, &ahead);
    TakeAhead(ahead);
  }

  // Until `wanted` or the deadline has come, or the command's end; or what may
  // be taken ahead.
  void AwaitSomething(pollfd wanted, Deadline deadline,
                      pollfd* ahead = nullptr) {
    std::vector<pollfd> polled = {
        wanted,
        {signals_.get(), POLLIN, 0},
        {child_->end().get(), POLLIN, 0},
        // If it is over, its end is what is waited for.
        over_ ? pollfd{-1, 0, 0} : StandardOutputWatch(),
        ahead == nullptr ? pollfd{-1, 0, 0} : *ahead};
    PollUntil(polled, deadline);
    if (ahead != nullptr) *ahead = polled.back();
    if (const int number = TakenSignal(signals_)) EndWithCommand(number);
    if (polled[2].revents != 0 || polled[3].revents != 0) over_ = true;
  }

  [[noreturn]] void EndWithCommand(int number) {
    child_->input().Reset();
    std::vector<pollfd> polled = {{signals_.get(), POLLIN, 0},
                                  {child_->end().get(), POLLIN, 0}};
    PollUntil(polled, kFinishTime);
    child_.reset();
    EndBySignal(number);
  }

  const SubOptions& options_;
  const Deadline deadline_;
  const UniqueFd signals_;
  std::unique_ptr<ShellChild> child_;
  std::string text_;
  PendingAcks acks_;
  bool over_ = false;
};

}  // namespace

absl::StatusOr<std::unique_ptr<SubOutput>> StreamMessages(
    Client& client, const SubOptions& options, Deadline deadline) {
  auto signals = TakeStopSignals();
  if (!signals.ok()) return signals.status();
  auto child = ShellChild::Start(options.exec_stream, /*variables=*/{},
                                 ShellChild::Stdout::kInherited);
  if (!child.ok()) return child.status();
  return std::make_unique<Streamer>(client, options, deadline,
                                    *std::move(signals), *std::move(child));
}

}  // namespace fifobus::cli
