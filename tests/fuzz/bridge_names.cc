// Topics become subjects and come back. Filters become patterns that match what
// their subjects become, and overlaps agree.

#include <cstdint>
#include <string>
#include <string_view>

#include "clients/cli/bridge/percent_text.h"
#include "clients/cli/bridge/subject_names.h"
#include "proto/topic.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/oracle.h"

namespace fifobus::bridge {
namespace {

using fuzz::Require;

void CheckTopicName(const NameMap& map, std::string_view topic) {
  if (CheckTopicToPublish(topic) != TopicFault::kNone) return;
  if (IsReplyTopic(topic)) return;  // they are no way back
  const auto subject = SubjectOf(map, topic);
  if (!subject.ok() || subject->size() > kSubjectBytesMax) return;
  Require(SubjectFault(*subject).empty(), "a topic's subject is valid");
  const auto back = TopicOf(map, *subject);
  Require(back.ok() && *back == topic, "a topic comes back");
}

void CheckPatternName(const NameMap& map, std::string_view pattern) {
  if (CheckPattern(pattern) != TopicFault::kNone) return;
  const auto filter = SubjectOf(map, pattern);
  if (!filter.ok()) return;
  Require(FilterFault(*filter).empty(), "a pattern's filter is valid");
  Require(FilterCovers(*filter, *filter), "a filter covers itself");
  Require(FiltersOverlap(*filter, *filter), "a filter overlaps itself");
}

void CheckSubject(const NameMap& map, std::string_view subject) {
  if (!SubjectFault(subject).empty()) return;
  const auto topic = TopicOf(map, subject);
  if (!topic.ok()) return;
  Require(CheckTopicToPublish(*topic) == TopicFault::kNone,
          "a subject's topic can be published");
  const auto pattern = PatternOf(map, subject);
  Require(pattern.ok() && Matches(*pattern, *topic),
          "a filter's pattern matches its subject's topic");
}

bool IsLetter(char c) { return c >= 'a' && c <= 'z'; }

void CheckPercent(std::string_view text) {
  Require(PercentDecode(PercentEncode(text, IsLetter)) == text,
          "what is percent-encoded comes back");
  (void)PercentDecode(text);
}

}  // namespace
}  // namespace fifobus::bridge

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fifobus;          // NOLINT
  using namespace fifobus::bridge;  // NOLINT
  fuzz::Input input(data, size);
  NameMap map{std::string(input.Text()), std::string(input.Text())};
  // Only such prefixes does a configuration let pass.
  if (CheckTopicToPublish(map.topic_prefix) != TopicFault::kNone) {
    map.topic_prefix.clear();
  }
  if (!SubjectFault(map.subject_prefix).empty()) map.subject_prefix.clear();
  const std::string_view name = input.Rest();
  CheckTopicName(map, name);
  CheckPatternName(map, name);
  CheckSubject(map, name);
  CheckPercent(name);
  if (FilterFault(name).empty()) (void)PatternOf(map, name);
  return 0;
}
