#include <poll.h>

#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "broker/base/unique_fd.h"
#include "clients/cli/output.h"
#include "clients/cli/poll_until.h"
#include "clients/cli/shell/job.h"
#include "clients/cli/shell/message_variables.h"
#include "clients/cli/stop_signals.h"
#include "clients/cli/sub/sub_output.h"
#include "fmt/format.h"

namespace fifobus::cli {
namespace {

// A command for each message, one after the other.
//
// While one runs nothing is received, so that a subscriber whose commands are
// slow is slow for the broker, too.
class Executor : public SubOutput {
 public:
  Executor(Client& client, const SubOptions& options, UniqueFd signals)
      : client_(client), options_(options), signals_(std::move(signals)) {}

  void Put(const Received& got) override {
    std::string input;
    if (options_.json || options_.format) {
      AppendMessage(got, options_, input);
    } else {
      input = got.message.payload;
    }
    auto job =
        Job::Start(options_.exec, MessageVariables(got.message, got.delivery),
                   input, ShellChild::Stdout::kInherited);
    if (!job.ok()) {
      (void)Fail(job.status());
      OnFailure(got);
      return;
    }
    do {
      AwaitJob(*job);
    } while ((*job)->Advance() == Job::State::kRunning);
    if ((*job)->exit_code() == 0) {
      if (got.delivery.ack_id != 0) client_.Ack(got.delivery.ack_id);
      return;
    }
    if (StandardOutputIsUnread()) {  // what it died of, and no failure
      unread_ = true;
      return;
    }
    fmt::print(stderr, "fifobus: {} sequence={}: the command ended with {}\n",
               got.message.topic, got.message.sequence,
               ExitText((*job)->exit_code()));
    OnFailure(got);
  }

  Received Await(absl::Time deadline) override {
    std::vector<pollfd> polled = {{signals_.get(), POLLIN, 0},
                                  {client_.fd(), POLLIN, 0},
                                  StandardOutputWatch()};
    PollUntil(polled, deadline);
    if (const int number = TakenSignal(signals_)) EndBySignal(number);
    unread_ = polled[2].revents != 0;
    return {};
  }

  bool over() const override { return unread_ || failed_; }

  Exit End(Exit otherwise) override { return failed_ ? kFailed : otherwise; }

 private:
  void AwaitJob(std::unique_ptr<Job>& job) {
    std::vector<pollfd> polled = {{signals_.get(), POLLIN, 0}};
    job->AddPolled(polled);
    PollUntil(polled, absl::InfiniteFuture());
    if (const int number = TakenSignal(signals_)) {
      job.reset();
      EndBySignal(number);
    }
  }

  void OnFailure(const Received& got) {
    if (got.delivery.ack_id != 0) client_.Retry(got.delivery.ack_id);
    failed_ = options_.fail_on_error;
  }

  Client& client_;
  const SubOptions& options_;
  const UniqueFd signals_;
  bool unread_ = false;
  bool failed_ = false;  // and is to end because of that
};

}  // namespace

absl::StatusOr<std::unique_ptr<SubOutput>> ExecuteMessages(
    Client& client, const SubOptions& options) {
  auto signals = TakeStopSignals();
  if (!signals.ok()) return signals.status();
  return std::make_unique<Executor>(client, options, *std::move(signals));
}

}  // namespace fifobus::cli
