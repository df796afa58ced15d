// Matches, Covers and Overlaps, held against all topics of a small alphabet. It
// has a letter that no pattern has, so that what a pattern says of other topics
// is seen in it.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "proto/topic.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/naive_topics.h"
#include "tests/fuzz/oracle.h"

namespace fifobus::fuzz {
namespace {

constexpr size_t kLevelsMax = 3;

// All topics of up to one level more than a pattern has.
const std::vector<std::string>& AllTopics() {
  static const std::vector<std::string>* const topics = [] {
    auto* const all = new std::vector<std::string>;
    std::vector<std::string> longest = {"a", "b", "other", "$a", "$other"};
    for (size_t levels = 1; levels <= kLevelsMax + 1; ++levels) {
      all->insert(all->end(), longest.begin(), longest.end());
      std::vector<std::string> longer;
      for (const std::string& topic : longest) {
        for (const char* level : {"/a", "/b", "/other"}) {
          longer.push_back(topic + level);
        }
      }
      longest = longer;
    }
    return all;
  }();
  return *topics;
}

void Compare(const std::string& pattern, const std::string& other) {
  bool covers = true;
  bool overlaps = false;
  for (const std::string& topic : AllTopics()) {
    const bool matches = NaiveMatches(pattern, topic);
    Require(Matches(pattern, topic) == matches, "Matches");
    const bool other_matches = NaiveMatches(other, topic);
    if (other_matches && !matches) covers = false;
    if (other_matches && matches) overlaps = true;
  }
  Require(Covers(pattern, other) == covers, "Covers");
  Require(Overlaps(pattern, other) == overlaps, "Overlaps");
  Require(Overlaps(other, pattern) == overlaps, "Overlaps the other way");
}

}  // namespace
}  // namespace fifobus::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fifobus;        // NOLINT
  using namespace fifobus::fuzz;  // NOLINT
  Input input(data, size);
  const std::vector<std::string> letters = {"a", "b", "$a", "*", "**"};
  const std::string pattern = SmallName(input.Take(3), letters, kLevelsMax);
  const std::string other = SmallName(input.Take(3), letters, kLevelsMax);
  if (CheckPattern(pattern) != TopicFault::kNone) return 0;
  if (CheckPattern(other) != TopicFault::kNone) return 0;
  Compare(pattern, other);
  return 0;
}
