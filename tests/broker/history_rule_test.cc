#include "broker/rules/history_rule.h"

#include <string>

#include "gtest/gtest.h"

namespace fifobus {
namespace {

TEST(HistoryRule, IsAPatternAndACount) {
  const auto rule = ParseHistoryRule("sensors/**=10");
  ASSERT_TRUE(rule.ok()) << rule.status();
  EXPECT_EQ(rule->pattern, "sensors/**");
  EXPECT_EQ(rule->count, 10u);
}

TEST(HistoryRule, SaysWhatIsWrong) {
  const struct {
    const char* text;
    const char* reason;
  } kBad[] = {
      {"sensors", "is not PATTERN=COUNT"},
      {"sensors=", "is not PATTERN=COUNT"},
      {"sensors=ten", "is not PATTERN=COUNT"},
      {"sensors=-1", "is not PATTERN=COUNT"},
      {"sensors=0", "from 1 to 10000"},
      {"sensors=10001", "from 1 to 10000"},
      {"=3", "the pattern is empty"},
      {"a/**/b=3", "has ** before its last level"},
      {"$sys/**=3", "topics under $ are not kept"},
  };
  for (const auto& bad : kBad) {
    const absl::Status status = ParseHistoryRule(bad.text).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << bad.text;
    EXPECT_NE(std::string(status.message()).find(bad.reason), std::string::npos)
        << status;
  }
}

}  // namespace
}  // namespace fifobus
