#include "clients/cli/bridge/subject_names.h"

#include <string>

#include "clients/cli/bridge/percent_text.h"
#include "gtest/gtest.h"
#include "proto/topic.h"

namespace fifobus::bridge {
namespace {

const NameMap kPlain;
const NameMap kPrefixed = {"factory/hall1", "edge1.f"};

TEST(SubjectNamesTest, LevelsBecomeTokens) {
  EXPECT_EQ(*SubjectOf(kPlain, "sensors/kitchen/temp"), "sensors.kitchen.temp");
  EXPECT_EQ(*TopicOf(kPlain, "sensors.kitchen.temp"), "sensors/kitchen/temp");
}

TEST(SubjectNamesTest, ADotInALevelIsEncodedAndComesBack) {
  EXPECT_EQ(*SubjectOf(kPlain, "sensors/v1.2"), "sensors.v1%2E2");
  EXPECT_EQ(*TopicOf(kPlain, "sensors.v1%2E2"), "sensors/v1.2");
}

TEST(SubjectNamesTest, EveryByteOfALevelComesBack) {
  const std::string topic = "aZ09_.:@-/b.c.d/-:@";
  ASSERT_EQ(CheckTopic(topic), TopicFault::kNone);
  const auto subject = SubjectOf(kPlain, topic);
  ASSERT_TRUE(subject.ok());
  EXPECT_EQ(SubjectFault(*subject), "");
  EXPECT_EQ(*TopicOf(kPlain, *subject), topic);
}

TEST(SubjectNamesTest, ADollarNeverBeginsASubject) {
  EXPECT_EQ(*SubjectOf(kPlain, "$dead/workers"), "%24dead.workers");
}

TEST(SubjectNamesTest, WildcardsBecomeThoseOfNats) {
  EXPECT_EQ(*SubjectOf(kPlain, "sensors/*/temp"), "sensors.*.temp");
  EXPECT_EQ(*SubjectOf(kPlain, "sensors/**"), "sensors.>");
  EXPECT_EQ(*SubjectOf(kPrefixed, "factory/hall1/**"), "edge1.f.>");
  EXPECT_EQ(*PatternOf(kPlain, "sensors.*.temp"), "sensors/*/temp");
  EXPECT_EQ(*PatternOf(kPlain, "sensors.>"), "sensors/**");
  EXPECT_EQ(*PatternOf(kPlain, ">"), "**");
}

TEST(SubjectNamesTest, OnePrefixIsTakenAwayAndTheOtherPutBefore) {
  EXPECT_EQ(*SubjectOf(kPrefixed, "factory/hall1/oven"), "edge1.f.oven");
  EXPECT_EQ(*TopicOf(kPrefixed, "edge1.f.oven"), "factory/hall1/oven");
  EXPECT_EQ(*PatternOf(kPrefixed, "edge1.f.>"), "factory/hall1/**");
}

TEST(SubjectNamesTest, AFilterWiderThanThePrefixBringsWhatIsBelowThePrefix) {
  EXPECT_EQ(*PatternOf(kPrefixed, ">"), "factory/hall1/**");
  EXPECT_EQ(*PatternOf(kPrefixed, "edge1.>"), "factory/hall1/**");
}

TEST(SubjectNamesTest, WhatIsOutsideAPrefixIsRefused) {
  for (const char* topic :
       {"factory/hall2/oven", "factory/hall1", "factory/hall10/oven"}) {
    EXPECT_FALSE(SubjectOf(kPrefixed, topic).ok()) << topic;
  }
  for (const char* subject : {"edge1.g.oven", "edge1.f", "edge1.fg.oven"}) {
    EXPECT_FALSE(TopicOf(kPrefixed, subject).ok()) << subject;
  }
  EXPECT_FALSE(PatternOf(kPrefixed, "edge2.>").ok());
}

TEST(SubjectNamesTest, SubjectsThatAreNoTopicsSayWhy) {
  const auto reason = [](std::string_view subject) {
    return std::string(TopicOf(kPlain, subject).status().message());
  };
  EXPECT_NE(reason("a.b#c").find("as a topic it"), std::string::npos);
  EXPECT_NE(reason("a.b%2Fc").find('/'), std::string::npos);
  EXPECT_NE(reason("_inbox.7.1").find("replies"), std::string::npos);
  EXPECT_NE(reason("$JS.ACK").find("as a topic it"), std::string::npos);
  EXPECT_NE(reason("a.%2Ehidden").find("dot"), std::string::npos);
  EXPECT_NE(reason(std::string(300, 'a')).find("longer"), std::string::npos);
}

TEST(SubjectNamesTest, FiltersAreChecked) {
  EXPECT_EQ(FilterFault("orders.*.new"), "");
  EXPECT_EQ(FilterFault(">"), "");
  EXPECT_NE(FilterFault(""), "");
  EXPECT_NE(FilterFault("a..b"), "");
  EXPECT_NE(FilterFault("a.>.b"), "");
  EXPECT_NE(FilterFault("a b"), "");
  EXPECT_NE(FilterFault(std::string(1025, 'a')), "");
  EXPECT_NE(SubjectFault("a.*"), "");
  EXPECT_EQ(SubjectFault("a.b"), "");
}

TEST(SubjectNamesTest, FiltersOverlapIfASubjectMatchesBoth) {
  EXPECT_TRUE(FiltersOverlap("a.>", "a.b.c"));
  EXPECT_TRUE(FiltersOverlap("a.*.c", "a.b.*"));
  EXPECT_TRUE(FiltersOverlap(">", "a"));
  EXPECT_FALSE(FiltersOverlap("a.>", "a"));
  EXPECT_FALSE(FiltersOverlap("a.b", "a.c"));
  EXPECT_FALSE(FiltersOverlap("a.*", "a.b.c"));
}

TEST(SubjectNamesTest, AFilterCoversWhatItMatchesAllOf) {
  EXPECT_TRUE(FilterCovers("a.>", "a.*.c"));
  EXPECT_TRUE(FilterCovers("a.>", "a.>"));
  EXPECT_TRUE(FilterCovers("*.b", "a.b"));
  EXPECT_FALSE(FilterCovers("a.*", "a.>"));
  EXPECT_FALSE(FilterCovers("a.b", "a.*"));
  EXPECT_FALSE(FilterCovers("a.>", "a"));
}

TEST(PercentTextTest, WhatIsNoCodeStays) {
  EXPECT_EQ(PercentDecode("100%"), "100%");
  EXPECT_EQ(PercentDecode("%zz%2"), "%zz%2");
  EXPECT_EQ(PercentDecode("a%2eb%2E"), "a.b.");
}

}  // namespace
}  // namespace fifobus::bridge
