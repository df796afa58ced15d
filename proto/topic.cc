#include "proto/topic.h"

#include <algorithm>

#include "proto/bus_paths.h"

namespace fifobus {
namespace {

bool IsLevelCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         (c >= '0' && c <= '9') || c == '_' || c == '.' || c == ':' ||
         c == '@' || c == '-';
}

TopicFault CheckLevel(std::string_view level, bool first) {
  if (first && level.starts_with('$')) level.remove_prefix(1);
  if (level.empty()) return TopicFault::kEmptyLevel;
  if (!std::all_of(level.begin(), level.end(), IsLevelCharacter)) {
    return TopicFault::kBadCharacter;
  }
  if (level.front() == '.') return TopicFault::kLeadingDot;
  for (std::string_view suffix : kTapSuffixes) {
    if (level.ends_with(suffix)) return TopicFault::kReservedSuffix;
  }
  return TopicFault::kNone;
}

TopicFault CheckName(std::string_view name, bool wildcards) {
  if (name.empty()) return TopicFault::kEmpty;
  if (name.size() > kTopicBytesMax) return TopicFault::kTooLong;
  const TopicLevels levels = SplitLevels(name);
  if (levels.size() > kTopicLevelsMax) return TopicFault::kTooManyLevels;
  for (size_t i = 0; i < levels.size(); ++i) {
    if (wildcards && levels[i] == "*") continue;
    if (wildcards && levels[i] == "**") {
      if (i + 1 == levels.size()) continue;
      return TopicFault::kMisplacedWildcard;
    }
    const TopicFault fault = CheckLevel(levels[i], i == 0);
    if (fault != TopicFault::kNone) return fault;
  }
  return TopicFault::kNone;
}

}  // namespace

std::string_view TopicFaultText(TopicFault fault) {
  switch (fault) {
    case TopicFault::kNone:
      return "";
    case TopicFault::kEmpty:
      return "is empty";
    case TopicFault::kTooLong:
      return "is longer than 200 bytes";
    case TopicFault::kTooManyLevels:
      return "has more than 16 levels";
    case TopicFault::kEmptyLevel:
      return "has an empty level";
    case TopicFault::kBadCharacter:
      return "has a character outside [A-Za-z0-9_.:@-]";
    case TopicFault::kLeadingDot:
      return "has a level that begins with a dot";
    case TopicFault::kReservedSuffix:
      return "has a level that ends in .in, .out or .last";
    case TopicFault::kMisplacedWildcard:
      return "has ** before its last level";
    case TopicFault::kReserved:
      return "is the broker's own: it begins with $";
  }
  return "is invalid";
}

std::string_view PatternFaultText(TopicFault fault) {
  switch (fault) {
    case TopicFault::kBadCharacter:
      return "has a character outside [A-Za-z0-9_.:@-]; levels are separated "
             "by /, a level that is * matches any one, and ** as the last "
             "level matches all that are left";
    case TopicFault::kMisplacedWildcard:
      return "has ** before its last level; a level that is * matches any one";
    default:
      return TopicFaultText(fault);
  }
}

TopicFault CheckTopic(std::string_view topic) {
  return CheckName(topic, /*wildcards=*/false);
}

TopicFault CheckTopicToPublish(std::string_view topic) {
  const TopicFault fault = CheckTopic(topic);
  if (fault != TopicFault::kNone) return fault;
  return IsReserved(topic) ? TopicFault::kReserved : TopicFault::kNone;
}

TopicFault CheckPattern(std::string_view pattern) {
  return CheckName(pattern, /*wildcards=*/true);
}

bool IsReserved(std::string_view topic) { return topic.starts_with('$'); }

bool IsReplyTopic(std::string_view topic) {
  return topic.starts_with("_inbox/");
}

TopicLevels SplitLevels(std::string_view name) {
  TopicLevels levels;
  while (true) {
    const size_t slash = name.find('/');
    levels.push_back(name.substr(0, slash));
    if (slash == std::string_view::npos) return levels;
    name.remove_prefix(slash + 1);
  }
}

bool Matches(std::string_view pattern, std::string_view topic) {
  const TopicLevels wanted = SplitLevels(pattern);
  const TopicLevels levels = SplitLevels(topic);
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (i >= levels.size()) return false;
    const bool wildcard = wanted[i] == "*" || wanted[i] == "**";
    if (wildcard && i == 0 && IsReserved(topic)) return false;
    if (wanted[i] == "**") return true;
    if (!wildcard && wanted[i] != levels[i]) return false;
  }
  return wanted.size() == levels.size();
}

bool Covers(std::string_view wide, std::string_view pattern) {
  const TopicLevels wanted = SplitLevels(wide);
  const TopicLevels levels = SplitLevels(pattern);
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (i >= levels.size()) return false;
    const bool wildcard = wanted[i] == "*" || wanted[i] == "**";
    if (wildcard && i == 0 && IsReserved(pattern)) return false;
    if (wanted[i] == "**") return true;
    // More than one level, where one is allowed.
    if (levels[i] == "**") return false;
    if (!wildcard && wanted[i] != levels[i]) return false;
  }
  return wanted.size() == levels.size();
}

bool Overlaps(std::string_view a, std::string_view b) {
  const TopicLevels first = SplitLevels(a);
  const TopicLevels second = SplitLevels(b);
  const bool reserved = IsReserved(a) || IsReserved(b);
  for (size_t i = 0; i < first.size() && i < second.size(); ++i) {
    const bool wildcard =
        first[i].starts_with('*') || second[i].starts_with('*');
    if (wildcard && i == 0 && reserved) return false;
    if (first[i] == "**" || second[i] == "**") return true;
    if (!wildcard && first[i] != second[i]) return false;
  }
  return first.size() == second.size();
}

}  // namespace fifobus
