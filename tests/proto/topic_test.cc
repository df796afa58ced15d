#include "proto/topic.h"

#include <string>

#include "gtest/gtest.h"

namespace fifobus {
namespace {

TEST(Topic, PathLikeNamesAreValid) {
  for (const char* topic :
       {"a", "sensors/kitchen/temp", "A.b_c:d@e-f/0", "$sys/load", "a/b.c"}) {
    EXPECT_EQ(CheckTopic(topic), TopicFault::kNone) << topic;
  }
}

TEST(Topic, EachRuleHasItsFault) {
  const struct {
    std::string topic;
    TopicFault fault;
  } cases[] = {
      {"", TopicFault::kEmpty},
      {"/a", TopicFault::kEmptyLevel},
      {"a/", TopicFault::kEmptyLevel},
      {"a//b", TopicFault::kEmptyLevel},
      {"$", TopicFault::kEmptyLevel},
      {"a b", TopicFault::kBadCharacter},
      {"a/$b", TopicFault::kBadCharacter},
      {"a/*", TopicFault::kBadCharacter},
      {std::string("a\0b", 3), TopicFault::kBadCharacter},
      {"\xc3\xa4", TopicFault::kBadCharacter},
      {".a", TopicFault::kLeadingDot},
      {"a/..", TopicFault::kLeadingDot},
      {"a.in", TopicFault::kReservedSuffix},
      {"a.out/b", TopicFault::kReservedSuffix},
      {"a/b.last", TopicFault::kReservedSuffix},
      {std::string(201, 'a'), TopicFault::kTooLong},
      {"1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17", TopicFault::kTooManyLevels},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(CheckTopic(c.topic), c.fault) << c.topic;
    EXPECT_FALSE(TopicFaultText(c.fault).empty());
  }
}

TEST(Topic, TheLongestAndTheDeepestAreValid) {
  EXPECT_EQ(CheckTopic(std::string(200, 'a')), TopicFault::kNone);
  EXPECT_EQ(CheckTopic("1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16"),
            TopicFault::kNone);
}

TEST(Topic, OnlyTheFirstLevelReserves) {
  EXPECT_TRUE(IsReserved("$sys/load"));
  EXPECT_FALSE(IsReserved("sys/load"));
}

TEST(Pattern, WildcardsStandForWholeLevels) {
  for (const char* pattern : {"*", "**", "a/*/c", "*/*", "a/**", "$sys/**"}) {
    EXPECT_EQ(CheckPattern(pattern), TopicFault::kNone) << pattern;
  }
  EXPECT_EQ(CheckPattern("**/a"), TopicFault::kMisplacedWildcard);
  EXPECT_EQ(CheckPattern("a*"), TopicFault::kBadCharacter);
  // Of MQTT and NATS.
  for (const char* other : {"a/#", "a/+/b", "a.>", "a.*"}) {
    const std::string_view text = PatternFaultText(CheckPattern(other));
    EXPECT_NE(text.find("separated by /"), std::string_view::npos) << text;
    EXPECT_NE(text.find("a level that is * "), std::string_view::npos) << text;
    EXPECT_NE(text.find("** as the last"), std::string_view::npos) << text;
  }
  EXPECT_EQ(CheckPattern("a/***"), TopicFault::kBadCharacter);
}

TEST(Matches, FollowsTheDefinition) {
  const struct {
    const char* pattern;
    const char* topic;
    bool matches;
  } cases[] = {
      {"a", "a", true},
      {"a", "b", false},
      {"a", "a/b", false},
      {"a/b", "a", false},
      {"*", "a", true},
      {"*", "a/b", false},
      {"*/b", "a/b", true},
      {"a/*/c", "a/b/c", true},
      {"a/*/c", "a/c", false},
      {"**", "a", true},
      {"**", "a/b/c", true},
      {"a/**", "a/b", true},
      {"a/**", "a/b/c", true},
      {"a/**", "a", false},
      {"a/*/**", "a/b", false},
      {"a/*/**", "a/b/c", true},
      {"*", "$sys", false},
      {"**", "$sys/load", false},
      {"*/load", "$sys/load", false},
      {"$sys/*", "$sys/load", true},
      {"$sys/**", "$sys/a/b", true},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(Matches(c.pattern, c.topic), c.matches)
        << c.pattern << " " << c.topic;
  }
}

// All names of up to three levels of a few.
std::vector<std::string> Names(const std::vector<std::string>& levels,
                               bool patterns) {
  std::vector<std::string> names;
  std::vector<std::string> longer = levels;
  for (int depth = 1; depth <= 3; ++depth) {
    names.insert(names.end(), longer.begin(), longer.end());
    std::vector<std::string> next;
    for (const std::string& name : longer) {
      for (const std::string& level : levels)
        next.push_back(name + "/" + level);
    }
    longer = std::move(next);
  }
  std::erase_if(names, [&](const std::string& name) {
    const TopicFault fault = patterns ? CheckPattern(name) : CheckTopic(name);
    return fault != TopicFault::kNone;
  });
  return names;
}

// Compares Covers and Overlaps with their definitions, over topics long enough
// to tell any two patterns of three levels apart.
TEST(Patterns, CoverAndOverlapAsTheirTopicsDo) {
  const std::vector<std::string> topics = Names({"a", "b", "c", "$s"}, false);
  std::vector<std::string> deep = topics;
  for (const std::string& topic : topics) deep.push_back(topic + "/c");
  const std::vector<std::string> patterns =
      Names({"a", "b", "$s", "*", "**"}, true);
  ASSERT_GT(patterns.size(), 50u);
  for (const std::string& wide : patterns) {
    for (const std::string& pattern : patterns) {
      bool covers = true;
      bool overlaps = false;
      for (const std::string& topic : deep) {
        if (!Matches(pattern, topic)) continue;
        covers = covers && Matches(wide, topic);
        overlaps = overlaps || Matches(wide, topic);
      }
      EXPECT_EQ(Covers(wide, pattern), covers) << wide << " " << pattern;
      EXPECT_EQ(Overlaps(wide, pattern), overlaps) << wide << " " << pattern;
    }
  }
}

}  // namespace
}  // namespace fifobus
