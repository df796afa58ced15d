#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "clients/cli/bus_options.h"
#include "clients/cli/commands.h"
#include "clients/cli/start_text.h"
#include "clients/cli/sub/message_format.h"
#include "clients/cli/sub/sub_options.h"
#include "clients/cli/sub/sub_output.h"
#include "fmt/format.h"
#include "proto/overflow.h"

namespace fifobus::cli {
namespace {

// How long the broker may take to answer a Subscribe, if no timeout is shorter.
constexpr absl::Duration kAnswerPatience = absl::Seconds(5);

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
    case GapReason::kTrimmed:
      return "the log did not keep them";
    case GapReason::kDamaged:
      return "the disk has damaged them";
    case GapReason::kReconnected:
    case GapReason::kUnknown:
      break;
  }
  return "of a reason that is unknown here";
}

void ReportGap(const Gap& gap) {
  if (gap.reason == GapReason::kReconnected) {
    Warn(
        "the broker is gone; what is published until it is back, an unknown "
        "number of messages, is missing here (reconnected)");
    return;
  }
  std::string topics;
  for (const Gap::Loss& loss : gap.losses) {
    topics += fmt::format(" {}={}", loss.topic, loss.messages);
  }
  Warn(fmt::format("{} messages are lost here, {} ({}):{}", gap.messages,
                   WhatHappened(gap.reason), GapReasonText(gap.reason),
                   topics));
}

absl::StatusOr<std::unique_ptr<SubOutput>> OpenOutput(Client& client,
                                                      const SubOptions& options,
                                                      Deadline deadline) {
  if (!options.exec.empty()) return ExecuteMessages(client, options);
  if (!options.exec_stream.empty()) {
    return StreamMessages(client, options, deadline);
  }
  return PrintMessages(client, options);
}

// Puts what is received there until one of all the ends has come.
Exit ReceiveAll(Client& client, const SubOptions& options, Deadline deadline,
                SubOutput& output) {
  uint64_t received = 0;
  size_t caught_up = 0;  // patterns
  uint64_t restarts = 0;
  while (true) {
    const Received got = output.Next(deadline);
    if (std::exchange(restarts, client.restarts()) != client.restarts()) {
      Warn(
          "restarted, nothing lost: the log is read on from where it was "
          "(restarted)");
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
      case ReceiveOutcome::kDisconnected:
        return output.End(Fail(client.status()));
      case ReceiveOutcome::kCaughtUp:
        ++caught_up;
        break;
      case ReceiveOutcome::kConfirmation:
      case ReceiveOutcome::kReply:
      case ReceiveOutcome::kTimedOut:
      case ReceiveOutcome::kWouldBlock:
        break;
    }
    if (output.over() || (received > 0 && received == options.count) ||
        (options.until_now && caught_up == options.patterns.size())) {
      break;
    }
    // Also if there is always another message.
    if (deadline.HasCome()) return output.End(kTimedOut);
  }
  return output.End(kDone);
}

Exit Sub(const SubOptions& options) {
  const Deadline deadline = options.timeout;
  ClientOptions client_options = options.client;
  client_options.will = options.will.will();
  auto client = ConnectClient(options.bus, "fifobus sub",
                              std::move(client_options), options.timeout);
  if (!client.ok()) return Fail(client.status());
  SubscribeOptions subscribe = options.subscribe;
  if (options.ack) subscribe.acks = options.acks;
  subscribe.until_now = options.until_now && subscribe.durable.empty();
  subscribe.auto_ack = false;  // a message is done when it was put out
  for (const std::string& pattern : options.patterns) {
    const absl::Status status = (*client)->Subscribe(
        pattern, subscribe, std::min(deadline.Rest(), kAnswerPatience));
    if (!status.ok()) return Fail(status);
  }
  auto output = OpenOutput(**client, options, deadline);
  if (!output.ok()) return Fail(output.status());
  return ReceiveAll(**client, options, deadline, **output);
}

void AddText(Command& sub, SubOptions& options) {
  const Option json = sub.AddFlag("--json", options.json,
                                  "one JSON object a line, with all metadata");
  const Option topic = sub.AddFlag("--show-topic", options.show_topic,
                                   "the topic and a space before each payload")
                           .Excludes({json});
  const Option retained =
      sub.AddFlag("--show-retained", options.show_retained,
                  "\"retained \" before each value that was published earlier")
          .Excludes({json});
  const Option raw =
      sub.AddFlag("--raw", options.raw, "no newline after the payloads");
  const Option null = sub.AddFlag("-0,--null", options.null,
                                  "a NUL after each payload, not a newline");
  null.Excludes({json, raw.Excludes({json})});
  const auto parse = [&options](const std::string& text) {
    auto format = MessageFormat::Parse(text);
    if (format.ok()) options.format = *std::move(format);
    return format.status();
  };
  sub.AddParsed(
         "--format TEMPLATE", parse,
         "what is printed of each message, with fields in braces: "
         "{topic} {payload} {sequence} {time} {size} {content_type} "
         "{header:NAME} {reply_topic} {expiry} {retained} "
         "{delivery_count} {offset} {stored_time} {json}; {{ is a brace; "
         "\\n, \\t, \\r, \\0 and \\\\ are as in C. Nothing is added, not even "
         "a newline")
      .Excludes({json, topic, retained, raw, null});
}

void AddCommands(Command& sub, SubOptions& options) {
  const Option exec =
      sub.AddText("--exec CMD", options.exec,
                  "sh runs this for each message, one after the other. Its "
                  "standard input is the payload, or what --json or "
                  "--format makes of the message. The metadata are in its "
                  "environment, see below");
  const Option stream =
      sub.AddText("--exec-stream CMD", options.exec_stream,
                  "sh runs this once; its standard input is what would be "
                  "printed. When it ends, sub ends, too, with exit code 0 "
                  "if the command had 0, or else with 1");
  sub.AddFlag("--fail-on-error", options.fail_on_error,
              "end with exit code 1 when a command failed")
      .Needs(exec);
  // Both wait for more than the bus.
  const Option spin = sub.option("--busy-poll");
  exec.Excludes({stream, spin, sub.option("--show-topic"),
                 sub.option("--show-retained"), sub.option("--raw"),
                 sub.option("--null")});
  stream.Excludes({spin});
}

void AddEnd(Command& sub, SubOptions& options) {
  sub.AddCount("-n,--count COUNT", options.count, kPositive,
               "end after so many messages");
  sub.AddDuration("--timeout", options.timeout,
                  "end after this time, with exit code 3");
  sub.AddFlag("--fail-on-gap", options.fail_on_gap,
              "end with exit code 1 when messages are lost");
}

void AddQueue(Command& sub, SubOptions& options) {
  sub.AddChoice("--overflow POLICY", options.client.overflow,
                Choices<Overflow>(kOverflowNames.begin(), kOverflowNames.end()),
                "what happens when this subscriber is too slow for longer "
                "than the stall timeout: drop-oldest, drop-newest, latest (of "
                "each topic), disconnect, or block (publishers wait) "
                "[drop-oldest]");
  sub.AddCount("--queue-bytes BYTES", options.client.queue_bytes_max, kPositive,
               "the most that the broker queues for this subscriber "
               "[the broker's own]");
  sub.AddCount("--queue-messages N", options.client.queue_messages_max,
               kPositive, "the same in messages [no bound]");
}

void AddGroup(Command& sub, SubOptions& options) {
  const Option group =
      sub.AddText("--group GROUP", options.subscribe.group,
                  "share the messages with all members of this group: each "
                  "goes to one of them");
  const Option ack =
      sub.AddFlag("--ack", options.ack,
                  "acknowledge a message when it was written out, or when "
                  "its command has succeeded; others go to another member")
          .Needs(group);
  sub.AddDuration("--ack-timeout", options.acks.timeout,
                  "deliver a message again if it is not acknowledged in "
                  "this time [30s]")
      .Needs(ack);
  sub.AddCount("--max-deliveries N", options.acks.deliveries_max, kPositive,
               "deliveries of a message before it goes to $dead/GROUP "
               "[5]")
      .Needs(ack);
  sub.AddCount("--unacked N", options.acks.unacked_max, kPositive,
               "messages that this member may hold unacknowledged [1]")
      .Needs(ack);
}

// The place in the log as the client has it.
Start StartOf(const pb::Start& place) {
  switch (place.at_case()) {
    case pb::Start::kOffset:
      return Start::Offset(place.offset());
    case pb::Start::kLast:
      return Start::Last(place.last());
    case pb::Start::kTimeUnixNanos:
      return Start::Time(
          absl::FromUnixNanos(static_cast<int64_t>(place.time_unix_nanos())));
    case pb::Start::kNext:
      return Start::Next();
    default:
      return Start::First();
  }
}

void AddLog(Command& sub, SubOptions& options) {
  const auto take = [&options](const std::string& text) {
    const auto place = ParseStart(text, absl::Now());
    if (place.ok()) options.subscribe.start = StartOf(*place);
    return place.status();
  };
  sub.AddParsed("--from PLACE", take,
                std::string("read the log that stores the pattern, from there "
                            "on: ") +
                    kStartHelp);
  sub.AddChoice("--until WHEN", options.until_now, Choices<bool>{{"now", true}},
                "end when what is stored now was read")
      .Excludes({sub.option("--group")});
  sub.AddText("--durable NAME", options.subscribe.durable,
              "go on where the last sub of this NAME ended, at first at --from "
              "or at the start of the log; what was written out, or whose "
              "command has succeeded, is done. With --group and --ack its "
              "members share the position");
}

// What Needs and Excludes cannot say.
absl::Status CheckLog(const SubOptions& options) {
  const SubscribeOptions& subscribe = options.subscribe;
  if (options.until_now && !subscribe.reads_log()) {
    return absl::InvalidArgumentError("--until needs --from or --durable");
  }
  if (subscribe.group.empty()) return absl::OkStatus();
  if (subscribe.start && subscribe.durable.empty()) {
    return absl::InvalidArgumentError("--from with --group needs --durable");
  }
  return subscribe.durable.empty() || options.ack
             ? absl::OkStatus()
             : absl::InvalidArgumentError("--durable with --group needs --ack");
}

}  // namespace

void AddSub(Command& program) {
  Command& sub = program.Add(
      "sub", "print messages, one payload a line, until it is ended");
  auto options = std::make_shared<SubOptions>();
  options->bus.AddTo(sub);
  options->mode.AddTo(sub);
  sub.AddTexts("PATTERN", options->patterns,
               "a topic; a level may be * (any one), the last one ** (any)")
      .Required();
  AddEnd(sub, *options);
  AddText(sub, *options);
  AddCommands(sub, *options);
  sub.AddFlag("--no-retained", options->subscribe.skip_retained,
              "do not begin with the retained values");
  AddGroup(sub, *options);
  AddLog(sub, *options);
  AddQueue(sub, *options);
  options->will.AddTo(sub);
  sub.Explain(
      "A command of --exec that fails is reported on standard "
      "error, and with --ack its message is delivered again; with --durable "
      "and without a group it ends sub, so that another run begins with it. "
      "While a command runs, no other message is received. At "
      "the --timeout it may finish. A command of --exec-stream "
      "may finish its work when its input ends. A signal that "
      "ends sub ends its commands, too. What a command leaves "
      "running in the background ends with the command.\n\n"
      "Environment of a command:\n"
      "  FIFOBUS_TOPIC FIFOBUS_SEQUENCE FIFOBUS_PUBLISH_TIME_UNIX_NANOS\n"
      "  FIFOBUS_REPLY_TOPIC FIFOBUS_CONTENT_TYPE FIFOBUS_RETAINED (1, 0)\n"
      "  FIFOBUS_DELIVERY_COUNT (with --ack: 1, 2...)\n"
      "  FIFOBUS_OFFSET FIFOBUS_STORED_TIME_UNIX_NANOS (out of a log)\n"
      "  FIFOBUS_HEADER_TRACE_ID for a header trace-id\n\n"
      "Examples:\n"
      "  fifobus sub 'sensors/**' --show-topic\n"
      "  fifobus sub sensors/door -n 1 --timeout 5s\n"
      "  fifobus sub 'sensors/**' --format '{time} {topic} {payload}\\n'\n"
      "  fifobus sub orders --group shop --ack --exec 'cat >> orders.txt'\n"
      "  fifobus sub 'sensors/*' --exec 'echo \"$FIFOBUS_TOPIC: $(cat)\"'\n"
      "  fifobus sub 'orders/**' --from -1h --until now --json\n"
      "  fifobus sub 'orders/**' --durable printer >> orders.txt\n"
      "  fifobus sub log/lines -n 2 --exec-stream 'gzip > log.gz'\n"
      "  fifobus sub files -n 2 -0 | xargs -0 ls -ld");
  sub.OnCheck([options] { return CheckLog(*options); });
  sub.OnRun([options] { return Sub(*options); });
}

}  // namespace fifobus::cli
