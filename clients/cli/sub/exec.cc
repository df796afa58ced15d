#include <poll.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "broker/base/unique_fd.h"
#include "clients/cli/attend.h"
#include "clients/cli/output.h"
#include "clients/cli/shell/job.h"
#include "clients/cli/shell/message_variables.h"
#include "clients/cli/stop_signals.h"
#include "clients/cli/sub/sub_output.h"
#include "fmt/format.h"

namespace fifobus::cli {
namespace {

// A command for each message, one after the other.
class Executor : public SubOutput {
 public:
  Executor(Client& client, const SubOptions& options, UniqueFd signals)
      : SubOutput(client, options),
        options_(options),
        signals_(std::move(signals)) {}

  void Put(const Received& got) override {
    // The views of `got` go when a message is taken ahead.
    const Received done = Acknowledged(got);
    const std::string about =
        fmt::format("{} sequence={}", got.message.topic, got.message.sequence);
    auto job = Start(got);
    if (!job.ok()) {
      (void)Fail(job.status());
      OnFailure(done);
      return;
    }
    do {
      AwaitJob(*job);
    } while ((*job)->Advance() == Job::State::kRunning);
    if ((*job)->exit_code() == 0) {
      client().Done(done);
      return;
    }
    if (StandardOutputIsUnread()) {  // what it died of, and no failure
      unread_ = true;
      return;
    }
    Warn(fmt::format("{}: the command ended with {}", about,
                     ExitText((*job)->exit_code())));
    OnFailure(done);
  }

  bool over() const override { return unread_ || failed_; }

  Exit End(Exit otherwise) override { return failed_ ? kFailed : otherwise; }

 private:
  absl::StatusOr<std::unique_ptr<Job>> Start(const Received& got) {
    std::string input;
    if (options_.json || options_.format) {
      AppendMessage(got, options_, input);
    } else {
      input = got.message.payload;
    }
    return Job::Start(options_.exec,
                      MessageVariables(got.message, got.delivery), input,
                      ShellChild::Stdout::kInherited);
  }

  Received Await(Deadline deadline) override {
    std::vector<pollfd> polled = {{signals_.get(), POLLIN, 0},
                                  {client().fd(), POLLIN, 0},
                                  StandardOutputWatch()};
    PollUntil(polled, deadline);
    if (const int number = TakenSignal(signals_)) EndBySignal(number);
    unread_ = polled[2].revents != 0;
    return {};
  }

  void AwaitJob(std::unique_ptr<Job>& job) {
    std::vector<pollfd> polled = {{signals_.get(), POLLIN, 0}, WatchAhead()};
    job->AddPolled(polled);
    PollUntil(polled, Deadline::Never());
    if (const int number = TakenSignal(signals_)) {
      job.reset();
      EndBySignal(number);
    }
    TakeAhead(polled[1]);
  }

  void OnFailure(const Received& failed) {
    if (failed.delivery.ack_id != 0) client().Retry(failed.delivery.ack_id);
    // To go on would be to say that this message is done as well.
    const bool stays =
        !options_.subscribe.durable.empty() && options_.subscribe.group.empty();
    if (stays) {
      Warn(
          fmt::format("the durable reader {} stays at offset {}; another run "
                      "begins with that message",
                      options_.subscribe.durable, failed.delivery.offset));
    }
    failed_ = options_.fail_on_error || stays;
  }

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
