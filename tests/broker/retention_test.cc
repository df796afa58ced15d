#include "broker/core/logs/retention.h"

#include <vector>

#include "gtest/gtest.h"

namespace fifobus {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

// Offsets 1-10, 11-30 and 31-40; the last one is written to.
const std::vector<SegmentSize> kSegments = {
    {1, 1000, 100 * kSecond}, {11, 2000, 200 * kSecond}, {31, 500, 0}};

size_t Drops(const LogRule& rule, uint64_t now_s = 300,
             std::optional<uint64_t> done = std::nullopt) {
  return SegmentsToDrop(kSegments, 40, rule, now_s * kSecond, done);
}

TEST(Retention, WithoutLimitsEverythingStays) { EXPECT_EQ(Drops({}), 0u); }

TEST(Retention, BytesAreALimit) {
  LogRule rule;
  rule.keep_bytes = 3500;
  EXPECT_EQ(Drops(rule), 0u);
  rule.keep_bytes = 3499;
  EXPECT_EQ(Drops(rule), 1u);
  rule.keep_bytes = 2500;
  EXPECT_EQ(Drops(rule), 1u);
  rule.keep_bytes = 1;
  EXPECT_EQ(Drops(rule), 2u) << "the last one is written to";
}

TEST(Retention, ThatManyMessagesAreKeptAtLeast) {
  LogRule rule;
  rule.keep_messages = 40;
  EXPECT_EQ(Drops(rule), 0u);
  rule.keep_messages = 31;
  EXPECT_EQ(Drops(rule), 0u);
  rule.keep_messages = 30;
  EXPECT_EQ(Drops(rule), 1u);
  rule.keep_messages = 10;
  EXPECT_EQ(Drops(rule), 2u);
}

TEST(Retention, ASegmentGoesWhenItsLastMessageIsTooOld) {
  LogRule rule;
  rule.keep_age = absl::Seconds(50);
  EXPECT_EQ(Drops(rule, 150), 0u);
  EXPECT_EQ(Drops(rule, 151), 1u);
  EXPECT_EQ(Drops(rule, 251), 2u);
  EXPECT_EQ(Drops(rule, 99999), 2u);
  EXPECT_EQ(Drops(rule, 10), 0u) << "a clock that was set back";
}

TEST(Retention, WhatAllReadersHaveFinishedGoes) {
  LogRule rule;
  rule.keep_until = LogRule::KeepUntil::kDone;
  EXPECT_EQ(Drops(rule, 300, std::nullopt), 0u) << "without readers";
  EXPECT_EQ(Drops(rule, 300, 9), 0u);
  EXPECT_EQ(Drops(rule, 300, 10), 1u);
  EXPECT_EQ(Drops(rule, 300, 29), 1u);
  EXPECT_EQ(Drops(rule, 300, 40), 2u);
  LogRule limits;
  EXPECT_EQ(Drops(limits, 300, 40), 0u);
}

TEST(Retention, OneSegmentOrNoneStays) {
  LogRule rule;
  rule.keep_bytes = 1;
  EXPECT_EQ(SegmentsToDrop({}, 0, rule, 0, std::nullopt), 0u);
  EXPECT_EQ(SegmentsToDrop({{1, 9999, 0}}, 5, rule, 0, std::nullopt), 0u);
}

}  // namespace
}  // namespace fifobus
