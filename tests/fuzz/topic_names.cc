// Which names are topics and patterns, held against the rules as topic.h has
// them in prose.

#include <cstdint>
#include <string>
#include <string_view>

#include "proto/topic.h"
#include "tests/fuzz/naive_topics.h"
#include "tests/fuzz/oracle.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fifobus;        // NOLINT
  using namespace fifobus::fuzz;  // NOLINT
  const std::string_view name(reinterpret_cast<const char*>(data), size);
  const TopicFault topic = CheckTopic(name);
  const TopicFault to_publish = CheckTopicToPublish(name);
  const TopicFault pattern = CheckPattern(name);
  const bool is_topic = topic == TopicFault::kNone;
  const bool is_pattern = pattern == TopicFault::kNone;
  Require(is_topic == NaiveIsName(name, false), "CheckTopic");
  Require(is_pattern == NaiveIsName(name, true), "CheckPattern");
  Require((to_publish == TopicFault::kNone) == (is_topic && name[0] != '$'),
          "CheckTopicToPublish");
  Require(TopicFaultText(topic).empty() == is_topic, "TopicFaultText");
  Require(PatternFaultText(pattern).empty() == is_pattern, "PatternFaultText");
  if (!is_pattern) return 0;
  std::string joined;
  for (const std::string_view level : SplitLevels(name)) {
    joined += (joined.empty() ? "" : "/") + std::string(level);
  }
  Require(joined == name, "SplitLevels");
  Require(Covers(name, name), "a pattern covers itself");
  if (is_topic) {
    Require(IsReserved(name) == (name[0] == '$'), "IsReserved");
    Require(Matches(name, name), "a topic matches itself");
  }
  return 0;
}
