#include <poll.h>

#include <algorithm>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "broker/base/unique_fd.h"
#include "clients/cli/bus_options.h"
#include "clients/cli/commands.h"
#include "clients/cli/request/reply_headers.h"
#include "clients/cli/shell/job.h"
#include "clients/cli/shell/message_variables.h"
#include "clients/cli/stop_signals.h"
#include "fmt/format.h"

namespace fifobus::cli {
namespace {

struct ReplyOptions {
  BusOptions bus;
  std::string topic;
  std::string command;
  SubscribeOptions subscribe;
  bool ack = false;
  size_t jobs = 1;
};

// Runs one command for each request, several at once, and replies with what it
// printed. Ends with its client or with a signal.
class Responder {
 public:
  Responder(Client& client, const ReplyOptions& options, UniqueFd signals)
      : client_(client), options_(options), signals_(std::move(signals)) {
    client_.set_mode(Mode::kNonBlocking);
  }

  Exit Run() {
    while (true) {
      if (TakeRequests() == Outcome::kOver) return Fail(client_.status());
      AwaitSomething();
      if (signaled_) return kDone;
      FinishJobs();
    }
  }

 private:
  struct Running {
    OwnedMessage request;
    uint64_t ack_id = 0;
    std::unique_ptr<Job> job;
  };
  enum class Outcome { kGoOn, kOver };

  // As many as may run at once.
  Outcome TakeRequests() {
    while (running_.size() < options_.jobs) {
      const Received got = client_.Receive();
      switch (got.outcome) {
        case ReceiveOutcome::kMessage:
          Begin(got);
          break;
        case ReceiveOutcome::kGap:
          fmt::print(stderr, "fifobus: {} requests are lost ({})\n",
                     got.gap.messages == 0 ? "an unknown number of"
                                           : std::to_string(got.gap.messages),
                     GapReasonText(got.gap.reason));
          break;
        case ReceiveOutcome::kDisconnected:
          return Outcome::kOver;
        default:
          return Outcome::kGoOn;
      }
    }
    return Outcome::kGoOn;
  }

  void Begin(const Received& got) {
    if (got.message.reply_topic.empty()) {
      fmt::print(stderr,
                 "fifobus: a message on {} is no request, it has no reply "
                 "topic; passed over\n",
                 got.message.topic);
      client_.Ack(got.delivery.ack_id);
      return;
    }
    Running running;
    running.request = OwnedMessage(got.message);
    running.ack_id = got.delivery.ack_id;
    auto job = Job::Start(options_.command,
                          MessageVariables(got.message, got.delivery),
                          got.message.payload);
    if (!job.ok()) {
      Answer(running, "", kErrorHeader, std::string(job.status().message()));
      return;
    }
    running.job = *std::move(job);
    running_.push_back(std::move(running));
  }

  // Until the client, a job or a signal has something to do.
  void AwaitSomething() {
    std::vector<pollfd> polled = {{signals_.get(), POLLIN, 0}};
    // A busy process does not look for more requests: it would wake for
    // nothing.
    const bool busy = running_.size() >= options_.jobs;
    polled.push_back({busy ? -1 : client_.fd(), POLLIN, 0});
    for (const Running& running : running_) running.job->AddPolled(polled);
    (void)poll(polled.data(), polled.size(), -1);
    signaled_ = (polled[0].revents & POLLIN) != 0;
  }

  void FinishJobs() {
    for (auto at = running_.begin(); at != running_.end();) {
      const Job::State state = at->job->Advance();
      if (state == Job::State::kRunning) {
        ++at;
        continue;
      }
      if (state == Job::State::kOutputTooLong) {
        Answer(*at, "", kErrorHeader, "the command's output fits no message");
      } else if (at->job->exit_code() != 0) {
        Answer(*at, at->job->output(), kExitCodeHeader,
               std::to_string(at->job->exit_code()));
      } else {
        Answer(*at, at->job->output(), "", "");
      }
      at = running_.erase(at);
    }
  }

  void Answer(const Running& running, std::string_view payload,
              std::string_view header_name, std::string_view header_value) {
    const HeaderView header = {header_name, header_value};
    MessageFields reply;
    reply.topic = running.request.reply_topic;
    reply.payload = payload;
    if (!header_name.empty()) reply.headers = {&header, 1};
    // Waits while the pipe is full: nothing else is to be done then.
    client_.set_mode(Mode::kBlocking);
    PublishOutcome outcome = client_.Publish(reply);
    if (outcome == PublishOutcome::kRefused && header_name != kErrorHeader) {
      Answer(running, "", kErrorHeader,
             std::string(client_.status().message()));
      return;
    }
    if (outcome == PublishOutcome::kSentAfterGap) {
      fmt::print(stderr,
                 "fifobus: earlier replies may be lost: the broker was "
                 "restarted\n");
    }
    if (running.ack_id != 0) client_.Ack(running.ack_id);
    client_.set_mode(Mode::kNonBlocking);
  }

  Client& client_;
  const ReplyOptions& options_;
  const UniqueFd signals_;
  std::list<Running> running_;
  bool signaled_ = false;
};

Exit Reply(const ReplyOptions& options) {
  auto client = ConnectClient(options.bus, "fifobus reply");
  if (!client.ok()) return Fail(client.status());
  SubscribeOptions subscribe = options.subscribe;
  subscribe.skip_retained = true;
  if (options.ack) {
    SubscribeOptions::Acks acks;
    acks.unacked_max = static_cast<uint32_t>(options.jobs);
    subscribe.acks = acks;
  }
  const absl::Status status = (*client)->Subscribe(options.topic, subscribe);
  if (!status.ok()) return Fail(status);
  auto signals = TakeStopSignals();
  if (!signals.ok()) return Fail(signals.status());
  return Responder(**client, options, *std::move(signals)).Run();
}

}  // namespace

void AddReply(Command& program) {
  Command& reply = program.Add(
      "reply",
      "answer requests with the output of a command, until it is ended");
  auto options = std::make_shared<ReplyOptions>();
  options->bus.AddTo(reply);
  reply
      .AddText("TOPIC", options->topic,
               "where requests come in; a pattern, as for sub")
      .Required();
  reply
      .AddText("--exec CMD", options->command,
               "sh runs this for each request. The request is its "
               "standard input, and its standard output is the reply. "
               "FIFOBUS_TOPIC, "
               "FIFOBUS_REPLY_TOPIC, FIFOBUS_CONTENT_TYPE, "
               "FIFOBUS_HEADER_NAME and others are set. An exit code other "
               "than 0 becomes the reply's header fifobus-exit-code")
      .Required();
  reply.AddCount("--jobs N", options->jobs, {1, 1024},
                 "commands that run at once [1]");
  const Option group =
      reply.AddText("--group GROUP", options->subscribe.group,
                    "share the requests with all members of this group");
  reply
      .AddFlag("--ack", options->ack,
               "give a request to another member when this one dies at work")
      .Needs(group);
  reply.Explain(
      "A signal that ends reply ends its commands, too. What a "
      "command leaves running in the background ends with the "
      "command. Commands have the environment of those of sub "
      "--exec.\n\n"
      "Examples:\n"
      "  fifobus reply time --exec date\n"
      "  fifobus reply shout --exec 'tr a-z A-Z' --jobs 4 --group loud");
  reply.OnRun([options] { return Reply(*options); });
}

}  // namespace fifobus::cli
