#include "clients/cli/inspect/stats_json.h"

#include "proto/overflow.h"

namespace fifobus::cli {
namespace {

Json QueueJson(const pb::StatsReply::Queue& queue) {
  return {{"queued_bytes", queue.queued_bytes()},
          {"queued_messages", queue.queued_messages()},
          {"delivered", queue.delivered()},
          {"delivered_bytes", queue.delivered_bytes()},
          {"dropped", queue.dropped()},
          {"dropped_overflow", queue.dropped_overflow()},
          {"dropped_conflated", queue.dropped_conflated()},
          {"dropped_expired", queue.dropped_expired()},
          {"dropped_disconnected", queue.dropped_disconnected()},
          {"stalled", queue.stalled()},
          {"stalls", queue.stalls()},
          {"stuck_millis", queue.stuck_millis()},
          {"holds_up", queue.holds_up()},
          {"overflow", OverflowText(queue.overflow())},
          {"pipe_bytes", queue.pipe_bytes()},
          {"unread_bytes", queue.unread_bytes()}};
}

}  // namespace

std::string_view OverflowText(pb::Overflow overflow) {
  return OverflowName(OverflowOf(overflow));
}

Json TopicJson(const pb::StatsReply::Topic& topic) {
  return {{"name", topic.name()},
          {"messages", topic.messages()},
          {"bytes", topic.bytes()},
          {"no_subscriber", topic.no_subscriber()},
          {"subscribers", topic.subscribers()},
          {"publishers", Json(topic.publishers())}};
}

Json SessionJson(const pb::StatsReply::Session& session) {
  return {{"number", session.number()},
          {"client_name", session.client_name()},
          {"pid", session.pid()},
          {"uid", session.uid()},
          {"connected_unix_nanos", session.connected_unix_nanos()},
          {"published", session.published()},
          {"published_bytes", session.published_bytes()},
          {"patterns", Json(session.patterns())},
          {"queue", QueueJson(session.queue())}};
}

Json TapJson(const pb::StatsReply::Tap& tap) {
  return {{"name", tap.name()},
          {"uid", tap.uid()},
          {"reader_gone", tap.reader_gone()},
          {"queue", QueueJson(tap.queue())}};
}

Json GroupJson(const pb::StatsReply::Group& group) {
  return {{"name", group.name()},
          {"pattern", group.pattern()},
          {"members", group.members()},
          {"queue", QueueJson(group.queue())},
          {"acked", group.acked()},
          {"unacked", group.unacked()},
          {"redelivered", group.redelivered()},
          {"dead_lettered", group.dead_lettered()}};
}

Json StatsJson(const pb::StatsReply& stats) {
  Json json = {{"topics", Json::array()},
               {"sessions", Json::array()},
               {"taps", Json::array()},
               {"groups", Json::array()},
               {"counters", Json::object()}};
  for (const auto& topic : stats.topics()) {
    json["topics"].push_back(TopicJson(topic));
  }
  for (const auto& session : stats.sessions()) {
    json["sessions"].push_back(SessionJson(session));
  }
  for (const auto& tap : stats.taps()) json["taps"].push_back(TapJson(tap));
  for (const auto& group : stats.groups()) {
    json["groups"].push_back(GroupJson(group));
  }
  for (const auto& counter : stats.counters()) {
    json["counters"][counter.name()] = counter.value();
  }
  return json;
}

}  // namespace fifobus::cli
