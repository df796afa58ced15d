#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "clients/cli/bus_options.h"
#include "clients/cli/commands.h"
#include "clients/cli/inspect/bridge_view.h"
#include "clients/cli/inspect/bus_view.h"
#include "clients/cli/inspect/log_text.h"
#include "clients/cli/inspect/restart_text.h"
#include "fmt/format.h"
#include "proto/frame.pb.h"
#include "proto/topic.h"

namespace fifobus::cli {
namespace {

using Queue = pb::StatsReply::Queue;

// PIPE_BUF, up to which a write is whole: pipe(7). As in FRAMING.md.
constexpr int kTapLineBytesMax = 4096;

struct WhyOptions {
  BusOptions bus;
  std::string topic;
  absl::Duration interval = absl::Seconds(1);
};

// "It" in the sentences about one subscriber.
struct Subscriber {
  std::string text;
  const Queue& queue;
  uint32_t pid = 0;  // 0: not known
};

void ExplainRefusedLines(const pb::StatsReply::Topic& topic) {
  if (topic.lines_refused() == 0) return;
  fmt::print(
      "{} written to {}.in {} refused, not published: a line has at most {} "
      "bytes with its newline, and the configuration may not let the FIFO's "
      "owner publish. The broker's log says which it was.\n",
      CountText(topic.lines_refused(), "line"), topic.name(),
      topic.lines_refused() == 1 ? "was" : "were", kTapLineBytesMax);
}

void ExplainPublishing(const BusView& view,
                       const pb::StatsReply::Topic& topic) {
  if (topic.messages() == 0) {
    fmt::print("Nothing was published on {} since the broker started.\n",
               topic.name());
    return;
  }
  const double rate =
      view.Rate(Before(view, topic).messages(), topic.messages());
  fmt::print("{} ({}) were published on {}, now {:.1f} a second.\n",
             CountText(topic.messages(), "message"), BytesText(topic.bytes()),
             topic.name(), rate);
  std::string publishers;
  for (const uint64_t number : topic.publishers()) {
    publishers += publishers.empty() ? "" : "; ";
    publishers += PublisherText(view.now, number);
  }
  if (!publishers.empty()) {
    fmt::print("Its last publishers: {}.\n", publishers);
  }
  if (topic.no_subscriber() > 0) {
    fmt::print("{} of them {}, because nobody was subscribed.\n",
               CountText(topic.no_subscriber(), "message"),
               LogOf(view.now, topic.name()) == nullptr
                   ? "reached nobody"
                   : "went to the log alone");
  }
}

void ExplainLosses(const Queue& queue) {
  const struct {
    uint64_t messages;
    std::string_view why;
  } losses[] = {
      {queue.dropped_overflow(), "its queue was full for too long"},
      {queue.dropped_conflated(),
       "newer ones of the same topic took their place"},
      {queue.dropped_expired(), "they had expired"},
      {queue.dropped_disconnected(), "the session was ended for being slow"},
  };
  for (const auto& loss : losses) {
    if (loss.messages == 0) continue;
    fmt::print("  It has lost {}, because {}.\n",
               CountText(loss.messages, "message"), loss.why);
  }
}

std::string_view PolicyText(pb::Overflow overflow) {
  switch (overflow) {
    case pb::OVERFLOW_DROP_NEWEST:
      return "what comes is dropped";
    case pb::OVERFLOW_LATEST:
      return "of each topic only the newest message is kept";
    case pb::OVERFLOW_DISCONNECT:
      return "its session is being ended";
    default:
      return "its oldest messages are dropped";
  }
}

// Where messages wait, and what becomes of them.
void ExplainQueue(const Queue& queue) {
  if (queue.queued_messages() > 0) {
    fmt::print("  {} ({}) wait in its queue, and {} in its pipe are unread.\n",
               CountText(queue.queued_messages(), "message"),
               BytesText(queue.queued_bytes()),
               BytesText(queue.unread_bytes()));
  } else if (queue.unread_bytes() > 0) {
    fmt::print("  {} in its pipe are unread, and nothing waits behind.\n",
               BytesText(queue.unread_bytes()));
  }
  if (queue.stalled()) {
    fmt::print("  It is stalled: {}, and publishers do not wait for it.\n",
               PolicyText(queue.overflow()));
  } else if (queue.holds_up() > 0) {
    fmt::print("  It holds up {}.\n", CountText(queue.holds_up(), "publisher"));
  }
}

// What the process does, and what to do about it.
void ExplainProcess(uint32_t pid) {
  const std::string trouble = ProcessTrouble(pid);
  if (trouble.empty()) {
    fmt::print(
        "  Its process {0} runs, but does not read: look at it, or end "
        "it with `kill {0}`.\n",
        pid);
  } else if (trouble == "stopped") {
    fmt::print(
        "  Its process {0} is stopped: `kill -CONT {0}` lets it go on, "
        "`kill -KILL {0}` ends it.\n",
        pid);
  } else {
    fmt::print("  Its process {} is {}.\n", pid, trouble);
  }
}

void Explain(const Subscriber& subscriber) {
  const Queue& queue = subscriber.queue;
  const bool stuck = queue.stuck_millis() >= kStuckMillis;
  if (stuck) {
    fmt::print("- {} is stuck: it has read nothing for {}.\n", subscriber.text,
               AgeText(queue.stuck_millis()));
  } else if (queue.stalled() || queue.queued_messages() > 0) {
    fmt::print("- {} is behind.\n", subscriber.text);
  } else {
    fmt::print("- {} keeps up: {} were delivered.\n", subscriber.text,
               CountText(queue.delivered(), "message"));
  }
  ExplainQueue(queue);
  ExplainLosses(queue);
  if (stuck && subscriber.pid != 0) ExplainProcess(subscriber.pid);
}

void ExplainTap(const BusView& view, const pb::StatsReply::Tap& tap) {
  const auto readers =
      ReadersOf(fmt::format("{}/topics/{}", view.dir, tap.name()));
  if (tap.reader_gone()) {
    fmt::print("- tap {} has no reader: it keeps the newest messages.\n",
               tap.name());
    ExplainQueue(tap.queue());
    ExplainLosses(tap.queue());
    return;
  }
  Explain({fmt::format("tap {}", tap.name()), tap.queue(),
           readers.empty() ? 0 : readers.front()});
}

void ExplainReceivers(const BusView& view, std::string_view topic) {
  const Receivers receivers = ReceiversOf(view.now, topic);
  if (receivers.size() == 0) {
    fmt::print("{}", LogOf(view.now, topic) == nullptr
                         ? "Nobody is subscribed: what is published now is "
                           "counted and forgotten, unless it is retained.\n"
                         : "Nobody else is subscribed to it.\n");
    return;
  }
  fmt::print("{} it now:\n",
             receivers.size() == 1
                 ? "One subscriber gets"
                 : fmt::format("{} subscribers get", receivers.size()));
  for (const auto& [session, pattern] : receivers.sessions) {
    Explain({fmt::format("{}, by pattern {},", SessionText(*session), pattern),
             session->queue(), session->pid()});
  }
  for (const auto* group : receivers.groups) {
    Explain(
        {fmt::format("group {} of pattern {}, with {},", group->name(),
                     group->pattern(), CountText(group->members(), "member")),
         group->queue()});
    if (group->unacked() > 0) {
      fmt::print("  Its members have not answered {} yet.\n",
                 CountText(group->unacked(), "message"));
    }
    if (group->taken_along() > 0) {
      fmt::print(
          "  {} were lost with members that left or died before they had "
          "handled them; members with --ack lose none.\n",
          CountText(group->taken_along(), "message"));
    }
  }
  for (const auto* tap : receivers.taps) ExplainTap(view, *tap);
}

// What members of groups that have ended took along.
void ExplainEndedGroups(const pb::StatsReply& stats) {
  uint64_t taken_along = 0;
  for (const auto& counter : stats.counters()) {
    if (counter.name() == "messages_taken_along") taken_along = counter.value();
  }
  for (const auto& group : stats.groups()) {
    taken_along -= std::min(taken_along, group.taken_along());
  }
  if (taken_along == 0) return;
  fmt::print(
      "Groups on this bus that have ended lost {} with members that left or "
      "died; members with --ack lose none.\n",
      CountText(taken_along, "message"));
}

const pb::StatsReply::Topic* FindTopic(const pb::StatsReply& stats,
                                       const std::string& name) {
  for (const auto& topic : stats.topics()) {
    if (topic.name() == name) return &topic;
  }
  return nullptr;
}

Exit Why(const WhyOptions& options) {
  const TopicFault fault = CheckTopic(options.topic);
  if (fault != TopicFault::kNone) {
    (void)Fail(absl::InvalidArgumentError(fmt::format(
        "\"{}\" is no topic: it {}", options.topic, TopicFaultText(fault))));
    return kUsage;
  }
  auto client = ConnectClient(options.bus, "fifobus why");
  if (!client.ok()) return Fail(client.status());
  auto view = ViewBus(**client, options.bus.dir, options.interval);
  if (!view.ok()) return Fail(view.status());
  const pb::StatsReply::Topic* topic = FindTopic(view->now, options.topic);
  if (topic == nullptr && ReceiversOf(view->now, options.topic).size() == 0 &&
      LogOf(view->now, options.topic) == nullptr) {
    return Fail(absl::NotFoundError(
        fmt::format("nobody has published on \"{}\" or subscribes to it; see "
                    "fifobus ls",
                    options.topic)));
  }
  pb::StatsReply::Topic unseen;
  unseen.set_name(options.topic);
  ExplainPublishing(*view, topic == nullptr ? unseen : *topic);
  if (topic != nullptr) ExplainRefusedLines(*topic);
  fmt::print("{}", LogSentences(*view, options.topic));
  fmt::print("{}", BridgeSentences(ViewBridges(**client, view->now),
                                   options.topic, absl::Now()));
  ExplainReceivers(*view, options.topic);
  ExplainEndedGroups(view->now);
  fmt::print("{}", RestartSentences(view->now));
  return kDone;
}

}  // namespace

void AddWhy(Command& program) {
  Command& why = program.Add(
      "why",
      "explain a topic: its publishers, its subscribers, its losses, its log, "
      "and where messages wait");
  auto options = std::make_shared<WhyOptions>();
  options->bus.AddTo(why);
  why.AddText("TOPIC", options->topic, "such as sensors/kitchen/temp")
      .Required();
  why.AddInterval(options->interval, "what rates are measured over [1s]");
  why.Explain(
      "Examples:\n"
      "  fifobus why sensors/kitchen/temp");
  why.OnRun([options] { return Why(*options); });
}

}  // namespace fifobus::cli
