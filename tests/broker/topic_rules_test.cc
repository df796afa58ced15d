#include "broker/rules/topic_rules.h"

#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace fifobus {
namespace {

constexpr uint32_t kAlice = 1001;
constexpr uint32_t kBob = 1002;
const Principals kOnlyAlice{false, {kAlice}};
const Principals kEveryone{true, {}};
const Principals kNobody;

TopicRule Rule(std::string pattern) {
  TopicRule rule;
  rule.pattern = std::move(pattern);
  return rule;
}

TopicRule MayPublish(std::string pattern, Principals who) {
  TopicRule rule = Rule(std::move(pattern));
  rule.publish = std::move(who);
  return rule;
}

TopicRule MaySubscribe(std::string pattern, Principals who) {
  TopicRule rule = Rule(std::move(pattern));
  rule.subscribe = std::move(who);
  return rule;
}

bool Allows(const Principals* principals, uint32_t uid) {
  return principals == nullptr || principals->Contains(uid);
}

TEST(TopicRulesTest, WithoutRulesAllIsOpenAndNothingIsKept) {
  const TopicRules rules({}, {Rule("a/**")});
  EXPECT_EQ(rules.PublishersOf("a/b"), nullptr);
  EXPECT_TRUE(rules.MaySubscribe(kBob, "**"));
  EXPECT_EQ(rules.HistoryOf("a/b"), 0u);
  EXPECT_TRUE(rules.MayRetain("a/b"));
  EXPECT_FALSE(rules.TapModeOf("a/b").has_value());
}

TEST(TopicRulesTest, TheFirstThatSaysSomethingAboutAMatterDecides) {
  TopicRule first = Rule("a/*");
  first.history = 2;
  TopicRule second = Rule("a/**");
  second.history = 9;
  second.retain = false;
  second.tap_mode = 0620;
  const TopicRules rules({}, {first, second});
  EXPECT_EQ(rules.HistoryOf("a/b"), 2u);
  EXPECT_EQ(rules.HistoryOf("a/b/c"), 9u);
  EXPECT_FALSE(rules.MayRetain("a/b"));
  EXPECT_EQ(rules.TapModeOf("a/b"), mode_t{0620});
  EXPECT_EQ(rules.HistoryOf("b"), 0u);
}

TEST(TopicRulesTest, OfHistoryRulesTheLargestCounts) {
  TopicRule rule = Rule("h/**");
  rule.history = 2;
  const TopicRules rules({{"h/x", 1}, {"h/more", 3}}, {rule});
  EXPECT_EQ(rules.HistoryOf("h/x"), 2u);
  EXPECT_EQ(rules.HistoryOf("h/more"), 3u);
}

TEST(TopicRulesTest, WhereARuleIsWhatNoneAllowsIsDenied) {
  const TopicRules rules(
      {}, {MayPublish("a/b", kOnlyAlice), MayPublish("a/*", kEveryone)});
  EXPECT_TRUE(Allows(rules.PublishersOf("a/b"), kAlice));
  EXPECT_FALSE(Allows(rules.PublishersOf("a/b"), kBob));
  EXPECT_TRUE(Allows(rules.PublishersOf("a/c"), kBob));
  EXPECT_FALSE(Allows(rules.PublishersOf("z"), kAlice));
  EXPECT_FALSE(Allows(rules.PublishersOf("$sys/x"), kAlice));
  // It is one matter, and says nothing about the other.
  EXPECT_TRUE(rules.MaySubscribe(kBob, "z"));
}

TEST(TopicRulesTest, AListOfNobodyAllowsNobody) {
  const TopicRules rules(
      {}, {MayPublish("a", kNobody), MaySubscribe("a", kNobody)});
  EXPECT_FALSE(Allows(rules.PublishersOf("a"), 0));
  EXPECT_FALSE(rules.MaySubscribe(0, "a"));
}

TEST(TopicRulesTest, APatternIsAllowedOnlyAsAWhole) {
  const TopicRules rules({}, {MaySubscribe("a/secret", kOnlyAlice),
                              MaySubscribe("a/*", kEveryone)});
  EXPECT_TRUE(rules.MaySubscribe(kAlice, "a/*"));
  EXPECT_TRUE(rules.MaySubscribe(kBob, "a/open"));
  EXPECT_FALSE(rules.MaySubscribe(kBob, "a/secret"));
  EXPECT_FALSE(rules.MaySubscribe(kBob, "a/*"));
  EXPECT_FALSE(rules.MaySubscribe(kAlice, "a/**"));
  EXPECT_FALSE(rules.MaySubscribe(kAlice, "**"));
  EXPECT_FALSE(rules.MaySubscribe(kAlice, "$sys/**"));
}

TEST(TopicRulesTest, AQueueIsRuledWhereAllOfItsTopicsAre) {
  TopicRule rule = Rule("a/**");
  rule.overflow = Overflow::kLatest;
  rule.queue_messages_max = 7;
  const TopicRules rules({}, {rule});
  const OverflowPolicy usual{Overflow::kDropOldest, {100, 0}};
  const OverflowPolicy ruled = rules.PolicyOf("a/*", usual);
  EXPECT_EQ(ruled.overflow, Overflow::kLatest);
  EXPECT_EQ(ruled.limits.bytes_max, 100u);
  EXPECT_EQ(ruled.limits.messages_max, 7u);
  EXPECT_EQ(rules.PolicyOf("**", usual).overflow, Overflow::kDropOldest);
}

TEST(TopicRulesTest, BadRulesAreRefusedWithTheirPattern) {
  std::vector<TopicRule> bad(7, Rule("a/*"));
  bad[0].pattern = "a//b";
  bad[1].create = true;
  bad[2].history = kHistoryCountMax + 1;
  bad[3].overflow = Overflow::kBlock;
  bad[4].queue_bytes_max = 0;
  bad[5].tap_mode = 01777;
  bad[6].pattern = "$sys/x";
  bad[6].history = 1;
  for (const TopicRule& rule : bad) {
    const absl::Status status = CheckTopicRule(rule);
    EXPECT_FALSE(status.ok());
    EXPECT_NE(std::string(status.message()).find(rule.pattern),
              std::string::npos);
  }
  TopicRule good = Rule("a/b");
  good.create = true;
  EXPECT_TRUE(CheckTopicRule(good).ok());
}

}  // namespace
}  // namespace fifobus
