#include "broker/core/logs/reader_lag.h"

#include "gtest/gtest.h"

namespace fifobus {
namespace {

ReaderRecord At(uint64_t position) {
  ReaderRecord record;
  record.position = position;
  return record;
}

TEST(ReaderLagTest, CountsWhatLiesBetweenThePositionAndTheEnd) {
  EXPECT_EQ(ReaderLag(At(1), 1, 1), 0u) << "an empty log";
  EXPECT_EQ(ReaderLag(At(1), 1, 11), 10u);
  EXPECT_EQ(ReaderLag(At(8), 1, 11), 3u);
  EXPECT_EQ(ReaderLag(At(11), 1, 11), 0u);
}

TEST(ReaderLagTest, WhatWasTrimmedIsNotToBeRead) {
  EXPECT_EQ(ReaderLag(At(1), 8, 11), 3u);
}

TEST(ReaderLagTest, WhatIsDoneAboveThePositionIsDone) {
  ReaderRecord record = At(5);
  record.done_above.Add(7, 8);
  record.done_above.Add(10, 10);
  EXPECT_EQ(ReaderLag(record, 1, 11), 3u);
  EXPECT_EQ(ReaderLag(record, 8, 11), 1u) << "7 is trimmed, 8 and 10 are done";
  EXPECT_EQ(ReaderLag(record, 1, 8), 2u) << "8 and 10 are not committed yet";
}

TEST(ReaderLagTest, APositionBehindTheEndIsNoLag) {
  ReaderRecord record = At(50);
  record.done_above.Add(60, 70);
  EXPECT_EQ(ReaderLag(record, 1, 11), 0u);
}

}  // namespace
}  // namespace fifobus
