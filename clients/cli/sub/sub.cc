#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/time/clock.h"
#include "clients/cli/command.h"
#include "clients/cli/help/manual.h"
#include "clients/cli/sub/message_format.h"
#include "clients/cli/sub/sub_options.h"
#include "clients/cli/sub/sub_output.h"
#include "fmt/format.h"
#include "proto/overflow.h"

namespace fifobus::cli {
namespace {

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

absl::StatusOr<std::unique_ptr<SubOutput>> OpenOutput(Client& client,
                                                      const SubOptions& options,
                                                      absl::Time deadline) {
  if (!options.exec.empty()) return ExecuteMessages(client, options);
  if (!options.exec_stream.empty()) {
    return StreamMessages(client, options, deadline);
  }
  return PrintMessages(client, options);
}

// Puts what is received there until one of all the ends has come.
Exit ReceiveAll(Client& client, const SubOptions& options, absl::Time deadline,
                SubOutput& output) {
  uint64_t received = 0;
  while (true) {
    // Takes what is there without waiting.
    client.set_mode(Mode::kNonBlocking);
    Received got = client.Receive();
    if (got.outcome == ReceiveOutcome::kWouldBlock) {
      got = output.Await(deadline);
    }
    switch (got.outcome) {
      case ReceiveOutcome::kMessage:
        output.Put(got);
        ++received;
        break;
      case ReceiveOutcome::kGap:
        ReportGap(got.gap);
        if (options.fail_on_gap) return output.End(kFailed);
        break;
      case ReceiveOutcome::kTimedOut:
        return output.End(kTimedOut);
      case ReceiveOutcome::kDisconnected:
        return output.End(Fail(client.status()));
      case ReceiveOutcome::kConfirmation:
      case ReceiveOutcome::kReply:
      case ReceiveOutcome::kWouldBlock:
        break;
    }
    if (output.over() || (received > 0 && received == options.count)) {
      break;
    }
    // Also if there is always another message.
    if (options.timeout != absl::InfiniteDuration() &&
        absl::Now() >= deadline) {
      return output.End(kTimedOut);
    }
  }
  return output.End(kDone);
}

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
  const absl::Time deadline = absl::Now() + options.timeout;
  auto output = OpenOutput(**client, options, deadline);
  if (!output.ok()) return Fail(output.status());
  return ReceiveAll(**client, options, deadline, **output);
}

void AddText(CLI::App& sub, SubOptions& options) {
  CLI::Option* json = sub.add_flag("--json", options.json,
                                   "one JSON object a line, with all metadata");
  sub.add_flag("--show-topic", options.show_topic,
               "the topic and a space before each payload")
      ->excludes(json);
  sub.add_flag("--show-retained", options.show_retained,
               "\"retained \" before each value that was published earlier")
      ->excludes(json);
  CLI::Option* raw =
      sub.add_flag("--raw", options.raw, "no newline after the payloads");
  CLI::Option* null = sub.add_flag("-0,--null", options.null,
                                   "a NUL after each payload, not a newline");
  null->excludes(json)->excludes(raw->excludes(json));
  CLI::Option* format =
      sub.add_option_function<std::string>(
             "--format",
             [&options](const std::string& text) {
               auto parsed = MessageFormat::Parse(text);
               if (!parsed.ok()) {
                 throw CLI::ValidationError(
                     std::string(parsed.status().message()));
               }
               options.format = *std::move(parsed);
             },
             "what is printed of each message, with fields in braces: "
             "{topic} {payload} {sequence} {time} {size} {content_type} "
             "{header:NAME} {reply_topic} {expiry} {retained} "
             "{delivery_count} {json}; {{ is a brace; \\n, \\t, \\r, \\0 "
             "and \\\\ are as in C. Nothing is added, not even a newline")
          ->type_name("TEMPLATE");
  for (const char* other :
       {"--json", "--show-topic", "--show-retained", "--raw", "--null"}) {
    format->excludes(other);
  }
}

void AddCommands(CLI::App& sub, SubOptions& options) {
  CLI::Option* exec =
      sub.add_option(
             "--exec", options.exec,
             "sh runs this for each message, one after the other. Its "
             "standard input is the payload, or what --json or --format "
             "makes of the message. The metadata are in its "
             "environment, see below")
          ->type_name("CMD");
  CLI::Option* stream =
      sub.add_option("--exec-stream", options.exec_stream,
                     "sh runs this once; its standard input is what would be "
                     "printed. When it ends, sub ends, too, with exit code 0 "
                     "if the command had 0, or else with 1")
          ->type_name("CMD");
  sub.add_flag("--fail-on-error", options.fail_on_error,
               "end with exit code 1 when a command failed")
      ->needs(exec);
  exec->excludes(stream);
  // Both wait for more than the bus.
  for (CLI::Option* command : {exec, stream}) command->excludes("--busy-poll");
  for (const char* other :
       {"--show-topic", "--show-retained", "--raw", "--null"}) {
    exec->excludes(other);
  }
}

void AddEnd(CLI::App& sub, SubOptions& options) {
  sub.add_option("-n,--count", options.count, "end after so many messages")
      ->check(CLI::PositiveNumber)
      ->type_name("COUNT");
  AddDuration(sub, "--timeout", options.timeout,
              "end after this time, with exit code 3");
  sub.add_flag("--fail-on-gap", options.fail_on_gap,
               "end with exit code 1 when messages are lost");
}

void AddQueue(CLI::App& sub, SubOptions& options) {
  sub.add_option("--overflow", options.client.overflow,
                 "what happens when this subscriber is too slow for longer "
                 "than the stall timeout: drop-oldest, drop-newest, latest (of "
                 "each topic), disconnect, or block (publishers wait) "
                 "[drop-oldest]")
      ->transform(CLI::CheckedTransformer(std::map<std::string, Overflow>(
          kOverflowNames.begin(), kOverflowNames.end())))
      ->type_name("POLICY");
  sub.add_option("--queue-bytes", options.client.queue_bytes_max,
                 "the most that the broker queues for this subscriber [the "
                 "broker's own]")
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
                     "share the messages with all members of this group: each "
                     "goes to one of them")
          ->type_name("GROUP");
  CLI::Option* ack =
      sub.add_flag("--ack", options.ack,
                   "acknowledge a message when it was written out, or when its "
                   "command has succeeded; others go to another member")
          ->needs(group);
  AddDuration(sub, "--ack-timeout", options.acks.timeout,
              "deliver a message again if it is not acknowledged in this "
              "time [30s]")
      ->needs(ack);
  sub.add_option("--max-deliveries", options.acks.deliveries_max,
                 "deliveries of a message before it goes to $dead/GROUP [5]")
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
  AddEnd(sub, *options);
  AddText(sub, *options);
  AddCommands(sub, *options);
  sub.add_flag("--no-retained", options->subscribe.skip_retained,
               "do not begin with the retained values");
  AddGroup(sub, *options);
  AddQueue(sub, *options);
  options->will.AddTo(sub);
  Explain(sub,
          "A command of --exec that fails is reported on standard error, and "
          "with --ack its message is delivered again. While a command runs, "
          "no other message is received. At the --timeout it may finish. A "
          "command of --exec-stream may finish its work when its input ends. "
          "A signal that ends sub ends its commands, too. What a command "
          "leaves running in the background ends with the command.\n\n"
          "Environment of a command:\n"
          "  FIFOBUS_TOPIC FIFOBUS_SEQUENCE FIFOBUS_PUBLISH_TIME_UNIX_NANOS\n"
          "  FIFOBUS_REPLY_TOPIC FIFOBUS_CONTENT_TYPE FIFOBUS_RETAINED (1, 0)\n"
          "  FIFOBUS_DELIVERY_COUNT (with --ack: 1, 2...)\n"
          "  FIFOBUS_HEADER_TRACE_ID for a header trace-id\n\n"
          "Examples:\n"
          "  fifobus sub 'sensors/**' --show-topic\n"
          "  fifobus sub sensors/door -n 1 --timeout 5s\n"
          "  fifobus sub 'sensors/**' --format '{time} {topic} {payload}\\n'\n"
          "  fifobus sub orders --group shop --ack --exec 'cat >> orders.txt'\n"
          "  fifobus sub 'sensors/*' --exec 'echo \"$FIFOBUS_TOPIC: $(cat)\"'\n"
          "  fifobus sub log/lines -n 2 --exec-stream 'gzip > log.gz'\n"
          "  fifobus sub files -n 2 -0 | xargs -0 ls -ld");
  sub.callback([options, &exit] { exit = Sub(*options); });
}

}  // namespace fifobus::cli
