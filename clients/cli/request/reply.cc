#include <poll.h>

#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "broker/base/unique_fd.h"
#include "clients/cli/attend.h"
#include "clients/cli/bus_options.h"
#include "clients/cli/commands.h"
#include "clients/cli/request/reply_headers.h"
#include "clients/cli/shell/job.h"
#include "clients/cli/shell/message_variables.h"
#include "clients/cli/stop_signals.h"
#include "clients/cpp/deadline.h"
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

// How soon a reply is sent again that did not go out. Not tuned.
constexpr absl::Duration kResendInterval = absl::Milliseconds(20);

bool HasExpired(const MessageView& message) {
  return message.expiry_unix_nanos != 0 &&
         message.expiry_unix_nanos <=
             static_cast<uint64_t>(absl::GetCurrentTimeNanos());
}

// Runs one command for each request, several at once, and replies with what it
// printed. Ends with its client or with a signal, which it heeds at any time:
// it waits for nothing but by poll(2).
//
//   request -> running_ -> answers_ -> sent
//
// running_.size() + answers_.size() <= options.jobs. While that is reached, it
// takes one request ahead, so that it answers a broker that stops, and then no
// more. A member of a group that does not acknowledge takes nothing ahead:
// another member may have time for it.
class Responder {
 public:
  Responder(Client& client, const ReplyOptions& options, UniqueFd signals)
      : client_(client),
        options_(options),
        signals_(std::move(signals)),
        takes_ahead_(options.subscribe.group.empty() || options.ack) {
    client_.set_mode(Mode::kNonBlocking);
  }

  Exit Run() {
    while (true) {
      if (TakeRequests() == Outcome::kOver) return Fail(client_.status());
      AwaitSomething();
      if (TakenSignal(signals_) != 0) return End();
      FinishJobs();
      if (SendAnswers() == Outcome::kOver) return Fail(client_.status());
    }
  }

 private:
  struct Running {
    OwnedMessage request;
    uint64_t ack_id = 0;
    std::unique_ptr<Job> job;
  };
  struct Answer {
    OwnedMessage reply;
    uint64_t ack_id = 0;
  };
  enum class Outcome { kGoOn, kOver };

  bool busy() const {
    return running_.size() + answers_.size() >= options_.jobs;
  }

  // As many as may run at once, and one ahead.
  Outcome TakeRequests() {
    while (!busy() || (takes_ahead_ && !ahead_)) {
      Received got =
          ahead_ ? *std::exchange(ahead_, std::nullopt) : client_.Receive();
      switch (got.outcome) {
        case ReceiveOutcome::kMessage:
          if (busy()) {
            ahead_ = got;
          } else {
            Begin(got);
          }
          break;
        case ReceiveOutcome::kGap:
          OnGap(got.gap);
          break;
        case ReceiveOutcome::kDisconnected:
          return Outcome::kOver;
        default:
          return Outcome::kGoOn;
      }
    }
    return Outcome::kGoOn;
  }

  void OnGap(const Gap& gap) {
    if (gap.reason == GapReason::kExpired) return;  // their askers are gone
    Warn(fmt::format("{} requests are lost ({})",
                     gap.messages == 0 ? "an unknown number of"
                                       : std::to_string(gap.messages),
                     GapReasonText(gap.reason)));
    if (gap.messages > 0) lost_ = true;
  }

  void Begin(const Received& got) {
    if (got.message.reply_topic.empty()) {
      Warn(fmt::format(
          "a message on {} is no request, it has no reply topic; passed over",
          got.message.topic));
      client_.Ack(got.delivery.ack_id);
      return;
    }
    if (HasExpired(got.message)) {  // its asker waits no more
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
      AddAnswer(running, "", kErrorHeader, std::string(job.status().message()));
      return;
    }
    running.job = *std::move(job);
    running_.push_back(std::move(running));
  }

  // Until the client, a job or a signal has something to do.
  void AwaitSomething() {
    const bool receives = !busy() || (takes_ahead_ && !ahead_);
    std::vector<pollfd> polled = {{signals_.get(), POLLIN, 0},
                                  {receives ? client_.fd() : -1, POLLIN, 0}};
    for (const Running& running : running_) running.job->AddPolled(polled);
    PollUntil(polled,
              answers_.empty() ? Deadline::Never() : Deadline(kResendInterval));
  }

  void FinishJobs() {
    for (auto at = running_.begin(); at != running_.end();) {
      const Job::State state = at->job->Advance();
      if (state == Job::State::kRunning) {
        ++at;
        continue;
      }
      if (state == Job::State::kOutputTooLong) {
        AddAnswer(*at, "", kErrorHeader,
                  "the command's output fits no message");
      } else if (at->job->exit_code() != 0) {
        AddAnswer(*at, at->job->output(), kExitCodeHeader,
                  std::to_string(at->job->exit_code()));
      } else {
        AddAnswer(*at, at->job->output(), "", "");
      }
      at = running_.erase(at);
    }
  }

  void AddAnswer(const Running& running, const std::string& payload,
                 std::string_view header_name,
                 const std::string& header_value) {
    Answer& answer = answers_.emplace_back();
    answer.ack_id = running.ack_id;
    answer.reply.topic = running.request.reply_topic;
    answer.reply.payload = payload;
    if (!header_name.empty()) {
      answer.reply.headers.push_back({std::string(header_name), header_value});
    }
  }

  // Those that go out without waiting, in their order.
  Outcome SendAnswers() {
    while (!answers_.empty()) {
      Answer& answer = answers_.front();
      switch (Send(answer.reply)) {
        case PublishOutcome::kSentAfterGap:
          Warn("earlier replies may be lost: the broker was restarted");
          lost_ = true;
          break;
        case PublishOutcome::kSent:
          break;
        case PublishOutcome::kDisconnected:
          return Outcome::kOver;
        case PublishOutcome::kRefused:
          if (Excuse(answer, client_.status())) continue;
          break;
        default:
          return Outcome::kGoOn;
      }
      if (answer.ack_id != 0) client_.Ack(answer.ack_id);
      answers_.pop_front();
    }
    return Outcome::kGoOn;
  }

  PublishOutcome Send(const OwnedMessage& reply) {
    std::vector<HeaderView> headers;
    for (const OwnedMessage::Header& header : reply.headers) {
      headers.push_back({header.name, header.value});
    }
    MessageFields fields;
    fields.topic = reply.topic;
    fields.payload = reply.payload;
    fields.headers = headers;
    return client_.Publish(fields);
  }

  // Makes the reason of a reply that is refused; false: that is refused, too,
  // so there is no reply.
  bool Excuse(Answer& answer, const absl::Status& why) {
    const std::string text(why.message());
    std::vector<OwnedMessage::Header>& headers = answer.reply.headers;
    if (!headers.empty() && headers.front().name == kErrorHeader) {
      Warn(fmt::format("a reply is refused: {}", text));
      return false;
    }
    answer.reply.payload.clear();
    headers = {{std::string(kErrorHeader), text}};
    return true;
  }

  Exit End() {
    if (!answers_.empty()) {
      lost_ = true;
      Warn(
          fmt::format("replies that were not sent, because there is no broker "
                      "or it does not read on: {}",
                      answers_.size()));
    }
    return lost_ ? kFailed : kDone;
  }

  Client& client_;
  const ReplyOptions& options_;
  const UniqueFd signals_;
  const bool takes_ahead_;
  std::optional<Received> ahead_;
  std::list<Running> running_;
  std::deque<Answer> answers_;
  bool lost_ = false;
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
