#include "clients/cli/bridge/bridge_plan.h"

#include <algorithm>

#include "clients/cli/bridge/subject_names.h"
#include "clients/cli/bridge/text.h"
#include "fmt/format.h"
#include "proto/topic.h"

namespace fifobus::bridge {
namespace {

// What one map is shown with; more are counted. Not tuned.
constexpr size_t kLinesMax = 1000;

// The lines of one map, as many as may be.
class Lines {
 public:
  void Add(std::string_view from, std::string_view to) {
    if (++count_ <= kLinesMax) text_ += fmt::format("  {} -> {}\n", from, to);
  }
  std::string Take(std::string_view nothing) {
    if (count_ == 0) return fmt::format("  {}\n", nothing);
    if (count_ > kLinesMax) {
      text_ += fmt::format("  and {} more\n", count_ - kLinesMax);
    }
    return text_;
  }

 private:
  std::string text_;
  size_t count_ = 0;
};

}  // namespace

std::string PlanText(const BridgeConfig& config) {
  std::string plan;
  for (const MapConfig& map : config.maps) {
    switch (map.kind) {
      case MapKind::kLogOut:
        plan += fmt::format(
            "out: the log of {} (reader {}) -> stream {}, subjects {}: {}\n",
            map.pattern, map.durable, map.stream, map.filter,
            map.shared ? "at least once, the stream is shared"
                       : "once and in order");
        break;
      case MapKind::kLiveOut:
        plan += fmt::format("out: live {} -> subjects {}: at most once\n",
                            map.pattern, map.filter);
        break;
      case MapKind::kRetainedOut:
        plan += fmt::format(
            "out: retained values of {} -> stream {}, subjects {}: the current "
            "ones, and each change\n",
            map.pattern, map.stream, map.filter);
        break;
      case MapKind::kRetainedIn:
        plan += fmt::format(
            "in: last values of stream {}, subjects {} -> retained on topics "
            "{}: the current ones, and each change\n",
            map.stream, map.filter, map.pattern);
        break;
      case MapKind::kStreamIn:
        plan += fmt::format(
            "in: stream {} (consumer {}), subjects {} -> topics {}: {}\n",
            map.stream, map.consumer, map.filter, map.pattern,
            map.accepted_is_enough ? "at least once, accepted"
                                   : "once and in order, stored");
        break;
      case MapKind::kLiveIn:
        plan += fmt::format("in: live subjects {} -> topics {}: at most once\n",
                            map.filter, map.pattern);
        break;
    }
  }
  plan += fmt::format("set aside: {}\n", config.dead_topic);
  return plan;
}

std::string OutText(const BridgeConfig& config, const BusNames& bus) {
  std::string text;
  for (const MapConfig& map : config.maps) {
    if (!map.is_out()) continue;
    text += map.name + ", of the topics that are there now:\n";
    const bool is_stored = std::any_of(
        bus.logs.begin(), bus.logs.end(),
        [&](const auto& log) { return Covers(log.pattern, map.pattern); });
    if (map.kind == MapKind::kLogOut && !is_stored) {
      text += fmt::format(
          "  no log stores {}: the bridge would end; start the broker with "
          "--log 'NAME={}'\n",
          map.pattern, map.pattern);
      continue;
    }
    Lines lines;
    for (const std::string& topic : bus.topics) {
      if (!Matches(map.pattern, topic)) continue;
      const auto subject = SubjectOf(map.names, topic);
      lines.Add(topic, !subject.ok() ? std::string("set aside")
                       : subject->size() > kSubjectBytesMax
                           ? std::string("set aside: too long as a subject")
                           : *subject);
    }
    text += lines.Take("none");
  }
  return text;
}

std::string InText(const MapConfig& map, const StreamNames& stream) {
  std::string text =
      fmt::format("{}, of the subjects that stream {} has messages of now:\n",
                  map.name, map.stream);
  if (!stream.fault.empty()) return text + fmt::format("  {}\n", stream.fault);
  Lines lines;
  for (const std::string& subject : stream.subjects) {
    if (!FilterCovers(map.filter, subject)) continue;
    const auto topic = TopicOf(map.names, subject);
    lines.Add(subject,
              topic.ok() ? *topic : "set aside: " + MessageOf(topic.status()));
  }
  return text + lines.Take("none");
}

}  // namespace fifobus::bridge
