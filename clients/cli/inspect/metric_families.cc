#include "clients/cli/inspect/metric_families.h"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "clients/cli/inspect/families.h"
#include "fmt/format.h"

namespace fifobus::cli {
namespace {

using prometheus::MetricFamily;
using Labels = Families::Labels;

struct TopicSum {
  uint64_t messages = 0;
  uint64_t bytes = 0;
  uint64_t no_subscriber = 0;
  uint64_t subscribers = 0;
};

void AddTopics(const pb::StatsReply& stats, Families& families) {
  std::map<std::string, TopicSum> sums;
  const auto add = [&](const std::string& name,
                       const pb::StatsReply::Topic& topic) {
    sums[name] = {topic.messages(), topic.bytes(), topic.no_subscriber(),
                  topic.subscribers()};
  };
  for (const auto& topic : stats.topics()) add(topic.name(), topic);
  if (stats.reply_topics().messages() > 0) add("_inbox", stats.reply_topics());
  for (const auto& [name, sum] : sums) {
    const Labels labels = {{"topic", name}};
    families.Count("topic_messages_total", "Messages published on the topic.",
                   labels, sum.messages);
    families.Count("topic_bytes_total",
                   "Bytes of payload published on the topic.", labels,
                   sum.bytes);
    families.Count("topic_no_subscriber_messages_total",
                   "Messages that nobody was subscribed to.", labels,
                   sum.no_subscriber);
    families.Gauge("topic_subscribers",
                   "Sessions, groups and taps that get the topic's messages.",
                   labels, sum.subscribers);
  }
  families.Count("forgotten_topics_messages_total",
                 "Messages on topics that were idle and are not listed.", {},
                 stats.forgotten_topics().messages());
}

void AddQueue(const pb::StatsReply::Queue& queue, const Labels& labels,
              Families& families) {
  families.Gauge("queue_messages", "Messages that wait for the subscriber.",
                 labels, queue.queued_messages());
  families.Gauge("queue_bytes", "Bytes that wait for the subscriber.", labels,
                 queue.queued_bytes());
  families.Gauge("queue_stalled",
                 "1 if the subscriber is too slow and its overflow policy "
                 "applies.",
                 labels, queue.stalled() ? 1 : 0);
  families.Count("queue_dropped_messages_total",
                 "Messages that the subscriber has lost, for any reason.",
                 labels, queue.dropped());
}

void AddSubscribers(const pb::StatsReply& stats, Families& families) {
  for (const auto& session : stats.sessions()) {
    const Labels labels = {{"kind", "session"},
                           {"name", session.client_name()},
                           {"session", fmt::format("{}", session.number())},
                           {"pid", fmt::format("{}", session.pid())}};
    AddQueue(session.queue(), labels, families);
    families.Count("session_published_messages_total",
                   "Messages that the session has published.", labels,
                   session.published());
  }
  for (const auto& tap : stats.taps()) {
    AddQueue(tap.queue(), {{"kind", "tap"}, {"name", tap.name()}}, families);
  }
  for (const auto& group : stats.groups()) {
    const Labels labels = {{"kind", "group"},
                           {"name", group.name()},
                           {"pattern", group.pattern()}};
    AddQueue(group.queue(), labels, families);
    families.Gauge("group_members", "Sessions in the group.", labels,
                   group.members());
    families.Gauge("group_unacked_messages",
                   "Messages that were delivered and not answered yet.", labels,
                   group.unacked());
    families.Count("group_redelivered_messages_total",
                   "Messages that were delivered once more.", labels,
                   group.redelivered());
    families.Count("group_dead_lettered_messages_total",
                   "Messages that were given up.", labels,
                   group.dead_lettered());
    families.Count("group_taken_along_messages_total",
                   "Messages that members had not handled when they left.",
                   labels, group.taken_along());
  }
}

void AddReader(const pb::StatsReply::Log& log,
               const pb::StatsReply::Reader& reader, Families& families) {
  const Labels labels = {{"log", log.name()}, {"reader", reader.name()}};
  families.Gauge("log_reader_lag",
                 "Stored messages that the durable reader has not finished.",
                 labels, reader.lag());
  families.Gauge("log_reader_position",
                 "The offset below which the durable reader has finished.",
                 labels, reader.position());
  families.Gauge("log_reader_sessions", "Sessions that read for it now.",
                 labels, static_cast<uint64_t>(reader.sessions_size()));
  families.Gauge("log_reader_unacked_messages",
                 "Messages that were delivered and not answered yet.", labels,
                 reader.unacked());
  families.Count("log_reader_redelivered_messages_total",
                 "Messages that were delivered once more.", labels,
                 reader.redelivered());
  families.Count("log_reader_dead_lettered_messages_total",
                 "Messages that were given up.", labels,
                 reader.dead_lettered());
}

void AddLogs(const pb::StatsReply& stats, Families& families) {
  for (const auto& log : stats.logs()) {
    const Labels labels = {{"log", log.name()}};
    families.Gauge("log_first_offset", "The first offset that is still there.",
                   labels, log.first_offset());
    families.Gauge("log_next_offset", "The offset that the next message gets.",
                   labels, log.next_offset());
    families.Gauge("log_committed_offset",
                   "The last offset that is known to be on disk.", labels,
                   log.committed_offset());
    families.Gauge("log_bytes", "What the log takes on disk.", labels,
                   log.bytes());
    families.Gauge("log_segments", "The files of the log.", labels,
                   log.segments());
    families.Gauge("log_in_trouble", "1 if the log stores nothing now.", labels,
                   log.trouble().empty() ? 0 : 1);
    families.Gauge("log_backlog_bytes", "What was taken and is not on disk.",
                   labels, log.backlog_bytes());
    families.Gauge("log_holds_up", "Publishers that wait for the log.", labels,
                   log.holds_up());
    families.Gauge("log_replay_readers",
                   "Subscriptions that read the log and are not durable.",
                   labels, log.replay_readers());
    families.Count("log_appended_messages_total", "Messages that were stored.",
                   labels, log.appended());
    families.Count("log_duplicate_messages_total",
                   "Messages that the log had already.", labels,
                   log.duplicates());
    for (const auto& reader : log.readers()) AddReader(log, reader, families);
  }
}

// What the broker counts as a whole has its name and no label.
void AddCounters(const pb::StatsReply& stats, Families& families) {
  for (const auto& counter : stats.counters()) {
    if (counter.name() == "topics_retained") {
      families.Gauge(counter.name(), "Topics with a retained value.", {},
                     counter.value());
      continue;
    }
    families.Count(counter.name() + "_total",
                   fmt::format("The broker's counter {}, since its start.",
                               counter.name()),
                   {}, counter.value());
  }
}

}  // namespace

std::vector<MetricFamily> MetricFamilies(const pb::StatsReply& stats) {
  Families families;
  AddTopics(stats, families);
  AddSubscribers(stats, families);
  AddLogs(stats, families);
  AddCounters(stats, families);
  return families.Take();
}

MetricFamily UpFamily(bool up) {
  Families families;
  families.Gauge("up", "1 if the broker has answered.", {}, up ? 1 : 0);
  return std::move(families.Take().front());
}

}  // namespace fifobus::cli
