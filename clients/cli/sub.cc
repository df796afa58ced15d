#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "clients/cli/command.h"
#include "clients/cli/message_options.h"
#include "clients/cli/output.h"
#include "fmt/format.h"
#include "proto/message_text.h"

namespace fifobus::cli {
namespace {

struct SubOptions {
  BusOptions bus;
  ModeOptions mode;
  WillOptions will;
  ClientOptions client;  // overflow and the bounds of its queue
  SubscribeOptions subscribe;
  SubscribeOptions::Acks acks;
  bool ack = false;
  std::vector<std::string> patterns;
  uint64_t count = 0;  // 0: no end
  absl::Duration timeout = absl::InfiniteDuration();
  bool json = false;
  bool show_topic = false;
  bool show_retained = false;
  bool raw = false;
  bool fail_on_gap = false;
};

void Append(const Received& got, const SubOptions& options, std::string& out) {
  if (options.json) {
    AppendJsonLine(got.message, got.delivery, out);
    return;
  }
  if (options.show_retained && got.delivery.retained) out += "retained ";
  if (options.show_topic) {
    out += got.message.topic;
    out += ' ';
  }
  if (options.raw) {
    out += got.message.payload;
  } else {
    AppendPlainText(got.message, out);
  }
}

std::string_view WhatHappened(GapReason reason) {
  switch (reason) {
    case GapReason::kOverflow:
      return "this subscriber was too slow";
    case GapReason::kConflated:
      return "newer ones took their places";
    case GapReason::kExpired:
      return "they had expired";
    case GapReason::kDisconnected:
      return "they were queued when the broker ended the session";
    case GapReason::kReconnected:
    case GapReason::kUnknown:
      break;
  }
  return "of a reason that is unknown here";
}

void ReportGap(const Gap& gap) {
  if (gap.reason == GapReason::kReconnected) {
    fmt::print(stderr,
               "fifobus: the broker is gone; what is published until it is "
               "back, an unknown number of messages, is missing here "
               "(reconnected)\n");
    return;
  }
  std::string topics;
  for (const Gap::Loss& loss : gap.losses) {
    topics += fmt::format(" {}={}", loss.topic, loss.messages);
  }
  fmt::print(stderr, "fifobus: {} messages are lost here, {} ({}):{}\n",
             gap.messages, WhatHappened(gap.reason), GapReasonText(gap.reason),
             topics);
}

// Prints what a client receives, and acknowledges what was printed.
class Printer {
 public:
  Printer(Client& client, const SubOptions& options)
      : client_(client),
        options_(options),
        deadline_(absl::Now() + options.timeout) {}

  Exit Run() {
    uint64_t received = 0;
    while (options_.count == 0 || received < options_.count) {
      const Received got = Next();
      if (written_ != Output::Outcome::kWritten) return ExitOf(written_, kDone);
      switch (got.outcome) {
        case ReceiveOutcome::kMessage:
          Append(got, options_, output_.text());
          if (got.delivery.ack_id != 0) printed_.push_back(got.delivery.ack_id);
          ++received;
          break;
        case ReceiveOutcome::kGap:
          ReportGap(got.gap);
          if (options_.fail_on_gap) return End(kFailed);
          break;
        case ReceiveOutcome::kTimedOut:
          return End(kTimedOut);
        case ReceiveOutcome::kDisconnected:
          (void)Fail(client_.status());
          return End(kFailed);
        case ReceiveOutcome::kConfirmation:
        case ReceiveOutcome::kReply:
        case ReceiveOutcome::kWouldBlock:
          break;
      }
      if (output_.full()) Write();
      if (written_ != Output::Outcome::kWritten) return ExitOf(written_, kDone);
    }
    return End(kDone);
  }

 private:
  // Takes what is there without waiting; only if there is nothing, writes what
  // is gathered and waits as the mode says.
  Received Next() {
    client_.set_mode(Mode::kNonBlocking);
    Received got = client_.Receive();
    if (got.outcome != ReceiveOutcome::kWouldBlock) return got;
    Write();
    if (written_ != Output::Outcome::kWritten) return got;
    client_.set_mode(options_.mode.mode());
    if (options_.mode.non_blocking) WaitReadable(client_, deadline_);
    got = client_.Receive(deadline_);
    if (got.outcome == ReceiveOutcome::kWouldBlock &&
        absl::Now() >= deadline_) {
      got.outcome = ReceiveOutcome::kTimedOut;
    }
    return got;
  }

  void Write() {
    written_ = output_.Flush();
    if (written_ != Output::Outcome::kWritten || printed_.empty()) return;
    const Batch batch(client_);
    for (const uint64_t ack_id : printed_) client_.Ack(ack_id);
    printed_.clear();
  }

  Exit End(Exit exit) {
    Write();
    return ExitOf(written_, exit);
  }

  Client& client_;
  const SubOptions& options_;
  const absl::Time deadline_;
  Output output_;
  Output::Outcome written_ = Output::Outcome::kWritten;
  std::vector<uint64_t> printed_;  // and not acknowledged
};

Exit Sub(const SubOptions& options) {
  ClientOptions client_options = options.client;
  client_options.will = options.will.will();
  auto client =
      ConnectClient(options.bus, "fifobus sub", std::move(client_options));
  if (!client.ok()) return Fail(client.status());
  SubscribeOptions subscribe = options.subscribe;
  if (options.ack) subscribe.acks = options.acks;
  for (const std::string& pattern : options.patterns) {
    const absl::Status status = (*client)->Subscribe(pattern, subscribe);
    if (!status.ok()) return Fail(status);
  }
  return Printer(**client, options).Run();
}

void AddOutput(CLI::App& sub, SubOptions& options) {
  sub.add_option("-n,--count", options.count, "end after so many messages")
      ->check(CLI::PositiveNumber)
      ->type_name("COUNT");
  AddDuration(sub, "--timeout", options.timeout,
              "end after this time, with exit code 3");
  CLI::Option* json = sub.add_flag("--json", options.json,
                                   "one JSON object a line, with all metadata");
  sub.add_flag("--show-topic", options.show_topic,
               "the topic and a space before each payload")
      ->excludes(json);
  sub.add_flag("--show-retained", options.show_retained,
               "\"retained \" before each value that was published earlier")
      ->excludes(json);
  sub.add_flag("--raw", options.raw, "no newline after the payloads")
      ->excludes(json);
  sub.add_flag("--fail-on-gap", options.fail_on_gap,
               "end with exit code 1 when messages are lost");
}

void AddQueue(CLI::App& sub, SubOptions& options) {
  sub.add_option("--overflow", options.client.overflow,
                 "what happens when this subscriber is too slow for longer "
                 "than the stall timeout: drop-oldest, drop-newest, latest (of "
                 "each topic), disconnect, or block (publishers wait) "
                 "[drop-oldest]")
      ->transform(CLI::CheckedTransformer(std::map<std::string, Overflow>{
          {"drop-oldest", Overflow::kDropOldest},
          {"drop-newest", Overflow::kDropNewest},
          {"latest", Overflow::kLatest},
          {"disconnect", Overflow::kDisconnect},
          {"block", Overflow::kBlock}}))
      ->type_name("POLICY");
  sub.add_option("--queue-bytes", options.client.queue_bytes_max,
                 "what the broker queues for it at most [the broker's]")
      ->check(CLI::PositiveNumber)
      ->type_name("BYTES");
  sub.add_option("--queue-messages", options.client.queue_messages_max,
                 "the same in messages [no bound]")
      ->check(CLI::PositiveNumber)
      ->type_name("N");
}

void AddGroup(CLI::App& sub, SubOptions& options) {
  CLI::Option* group =
      sub.add_option("--group", options.subscribe.group,
                     "share the messages with all who name the same group: "
                     "each goes to one of them")
          ->type_name("GROUP");
  CLI::Option* ack =
      sub.add_flag("--ack", options.ack,
                   "acknowledge each message when it was written out; what is "
                   "not goes to another member")
          ->needs(group);
  AddDuration(sub, "--ack-timeout", options.acks.timeout,
              "deliver again what was not acknowledged for so long [30s]")
      ->needs(ack);
  sub.add_option("--max-deliveries", options.acks.deliveries_max,
                 "of one message, before it goes to $dead/GROUP [5]")
      ->check(CLI::PositiveNumber)
      ->needs(ack)
      ->type_name("N");
  sub.add_option("--unacked", options.acks.unacked_max,
                 "messages that this member may hold unacknowledged [1]")
      ->check(CLI::PositiveNumber)
      ->needs(ack)
      ->type_name("N");
}

}  // namespace

void AddSub(CLI::App& app, Exit& exit) {
  CLI::App& sub = *app.add_subcommand(
      "sub", "print messages, one payload a line, until it is ended");
  auto options = std::make_shared<SubOptions>();
  options->bus.AddTo(sub);
  options->mode.AddTo(sub);
  sub.add_option("PATTERN", options->patterns,
                 "a topic; a level may be * (any one), the last one ** (any)")
      ->required();
  AddOutput(sub, *options);
  sub.add_flag("--no-retained", options->subscribe.skip_retained,
               "do not begin with the retained values");
  AddGroup(sub, *options);
  AddQueue(sub, *options);
  options->will.AddTo(sub);
  sub.callback([options, &exit] { exit = Sub(*options); });
}

}  // namespace fifobus::cli
