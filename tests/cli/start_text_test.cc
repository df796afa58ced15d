#include "clients/cli/start_text.h"

#include <stdlib.h>
#include <time.h>

#include <string>

#include "gtest/gtest.h"

namespace fifobus::cli {
namespace {

constexpr int64_t kNow = 2'000'000'000;

pb::Start Start(const std::string& text) {
  const auto start = ParseStart(text, absl::FromUnixSeconds(kNow));
  EXPECT_TRUE(start.ok()) << start.status();
  return start.value_or(pb::Start());
}

int64_t Seconds(const std::string& text) {
  return static_cast<int64_t>(Start(text).time_unix_nanos() / 1'000'000'000);
}

TEST(StartTextTest, WordsAreTheEndsOfALog) {
  EXPECT_TRUE(Start("start").first());
  EXPECT_TRUE(Start("new").next());
}

TEST(StartTextTest, ANumberIsAnOffsetAndANegativeOneSoManyMessages) {
  EXPECT_EQ(Start("42").offset(), 42u);
  EXPECT_EQ(Start("18446744073709551615").offset(), UINT64_MAX);
  EXPECT_EQ(Start("-10").last(), 10u);
}

TEST(StartTextTest, AnAgeCountsBackFromNow) {
  EXPECT_EQ(Seconds("-5m"), kNow - 300);
  EXPECT_EQ(Seconds("-1h30m"), kNow - 5400);
  EXPECT_EQ(Seconds("-7d"), kNow - 7 * 86400);
}

TEST(StartTextTest, ATimeIsInItsZoneOrInTheLocalOne) {
  ASSERT_EQ(setenv("TZ", "UTC-2", /*overwrite=*/1), 0);
  tzset();
  EXPECT_EQ(Seconds("1970-01-02T00:00Z"), 86400);
  EXPECT_EQ(Seconds("1970-01-02T01:00:01+01:00"), 86401);
  EXPECT_EQ(Seconds("1970-01-02Z"), 86400);
  EXPECT_EQ(Start("2026-11-28T10:00:00.5Z").time_unix_nanos() % 1'000'000'000,
            500'000'000u);
  const int64_t local = Seconds("2026-11-28T10:00");
  EXPECT_EQ(local, Seconds("2026-11-28T10:00:00"));
  EXPECT_EQ(local, Seconds("2026-11-28") + 10 * 3600);
}

TEST(StartTextTest, AnythingElseIsRefusedWithExamples) {
  for (const char* text :
       {"", "0", "-", "-0", "--5", "-5x", "5m", "-0s", "--5m", "first", "end",
        "18446744073709551616", "2026-13-01", "2026-11-28 10:00", "1969-01-01Z",
        "42 ", "-99999999999d"}) {
    const auto start = ParseStart(text, absl::FromUnixSeconds(kNow));
    ASSERT_FALSE(start.ok()) << text;
    EXPECT_NE(start.status().message().find("an offset (42)"),
              absl::string_view::npos);
  }
}

}  // namespace
}  // namespace fifobus::cli
