#include "clients/cli/bridge/subject_names.h"

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "clients/cli/bridge/percent_text.h"
#include "clients/cli/bridge/text.h"
#include "fmt/format.h"
#include "proto/topic.h"

namespace fifobus::bridge {
namespace {

using Tokens = std::vector<std::string_view>;

Tokens SplitSubject(std::string_view subject) { return Split(subject, '.'); }

bool MayStandInLevel(char c) {
  return absl::ascii_isalnum(c) || c == '_' || c == ':' || c == '@' || c == '-';
}

std::string TokenOf(std::string_view level) {
  if (level == "*") return "*";
  if (level == "**") return ">";
  return PercentEncode(level, MayStandInLevel);
}

// The rest behind a prefix and the separator; nothing: it does not begin so.
absl::StatusOr<std::string_view> Rest(std::string_view name,
                                      std::string_view prefix, char separator) {
  if (prefix.empty()) return name;
  if (name.size() > prefix.size() + 1 &&
      name.substr(0, prefix.size()) == prefix &&
      name[prefix.size()] == separator) {
    return name.substr(prefix.size() + 1);
  }
  return absl::InvalidArgumentError(
      fmt::format("\"{}\" is not below \"{}\"", name, prefix));
}

std::string Below(std::string_view prefix, std::string_view separator,
                  std::string_view rest) {
  return prefix.empty() ? std::string(rest) : Concat(prefix, separator, rest);
}

bool IsSpaceOrControl(char c) {
  return absl::ascii_isspace(c) || absl::ascii_iscntrl(c);
}

std::string_view NameFault(std::string_view name, bool is_filter) {
  if (name.empty()) return "is empty";
  if (name.size() > kSubjectBytesMax) return "is longer than 1024 bytes";
  if (std::any_of(name.begin(), name.end(), IsSpaceOrControl)) {
    return "has a space or a control character";
  }
  const Tokens tokens = SplitSubject(name);
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i].empty()) return "has an empty token";
    if (tokens[i] == ">" && i + 1 < tokens.size())
      return "has > before its end";
    if (!is_filter && (tokens[i] == "*" || tokens[i] == ">")) {
      return "has a wildcard";
    }
  }
  return "";
}

}  // namespace

absl::StatusOr<std::string> SubjectOf(const NameMap& map,
                                      std::string_view topic) {
  const auto rest = Rest(topic, map.topic_prefix, '/');
  if (!rest.ok()) return rest.status();
  std::vector<std::string> tokens;
  for (const std::string_view level : SplitLevels(*rest)) {
    tokens.push_back(TokenOf(level));
  }
  return Below(map.subject_prefix, ".", Join(tokens, "."));
}

absl::StatusOr<std::string> TopicOf(const NameMap& map,
                                    std::string_view subject) {
  const auto rest = Rest(subject, map.subject_prefix, '.');
  if (!rest.ok()) return rest.status();
  std::vector<std::string> levels;
  for (const std::string_view token : SplitSubject(*rest)) {
    levels.push_back(PercentDecode(token));
    if (levels.back().find('/') != std::string::npos) {
      return absl::InvalidArgumentError("it has a / within a token");
    }
  }
  std::string topic = Below(map.topic_prefix, "/", Join(levels, "/"));
  const TopicFault fault = CheckTopicToPublish(topic);
  if (fault != TopicFault::kNone) {
    return absl::InvalidArgumentError(
        Concat("as a topic it ", TopicFaultText(fault)));
  }
  if (IsReplyTopic(topic)) {
    return absl::InvalidArgumentError("as a topic it is one of replies");
  }
  return topic;
}

absl::StatusOr<std::string> PatternOf(const NameMap& map,
                                      std::string_view filter) {
  const std::string_view fault = FilterFault(filter);
  if (!fault.empty()) return absl::InvalidArgumentError(std::string(fault));
  // A filter that is wider than the prefix brings what is below the prefix.
  const std::string below = Below(map.subject_prefix, ".", ">");
  const std::string_view narrow = FilterCovers(filter, below) ? below : filter;
  const auto rest = Rest(narrow, map.subject_prefix, '.');
  if (!rest.ok()) return rest.status();
  std::vector<std::string> levels;
  for (const std::string_view token : SplitSubject(*rest)) {
    levels.push_back(token == ">" ? "**" : PercentDecode(token));
  }
  std::string pattern = Below(map.topic_prefix, "/", Join(levels, "/"));
  const TopicFault pattern_fault = CheckPattern(pattern);
  if (pattern_fault != TopicFault::kNone) {
    return absl::InvalidArgumentError(
        Concat("as a pattern it ", TopicFaultText(pattern_fault)));
  }
  return pattern;
}

std::string_view FilterFault(std::string_view filter) {
  return NameFault(filter, /*is_filter=*/true);
}

std::string_view SubjectFault(std::string_view subject) {
  return NameFault(subject, /*is_filter=*/false);
}

bool FiltersOverlap(std::string_view a, std::string_view b) {
  const Tokens as = SplitSubject(a);
  const Tokens bs = SplitSubject(b);
  for (size_t i = 0; i < as.size() && i < bs.size(); ++i) {
    if (as[i] == ">" || bs[i] == ">") return true;
    if (as[i] != "*" && bs[i] != "*" && as[i] != bs[i]) return false;
  }
  return as.size() == bs.size();
}

bool FilterCovers(std::string_view wide, std::string_view filter) {
  const Tokens wides = SplitSubject(wide);
  const Tokens tokens = SplitSubject(filter);
  for (size_t i = 0; i < wides.size() && i < tokens.size(); ++i) {
    if (wides[i] == ">") return true;
    if (tokens[i] == ">") return false;
    if (wides[i] != "*" && wides[i] != tokens[i]) return false;
  }
  return wides.size() == tokens.size();
}

}  // namespace fifobus::bridge
