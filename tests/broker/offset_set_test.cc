#include "broker/core/logs/offset_set.h"

#include <cstdint>
#include <random>
#include <set>

#include "gtest/gtest.h"

namespace fifobus {
namespace {

TEST(OffsetSet, NeighboursBecomeOneRange) {
  OffsetSet set;
  set.Add(5, 6);
  set.Add(9, 9);
  EXPECT_EQ(set.ranges(), 2u);
  set.Add(7, 8);
  EXPECT_EQ(set.ranges(), 1u);
  EXPECT_EQ(set.count(), 5u);
  EXPECT_EQ(set.TakeFrom(6), std::nullopt);
  EXPECT_EQ(set.TakeFrom(5), 9u);
  EXPECT_TRUE(set.empty());
}

TEST(OffsetSet, HoldsWhatASetOfOffsetsHolds) {
  for (uint32_t seed = 1; seed <= 50; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    OffsetSet set;
    std::set<uint64_t> model;
    for (int i = 0; i < 200; ++i) {
      const uint64_t first = 1 + random() % 100;
      if (random() % 10 == 0) {
        set.RemoveUpTo(first / 4);
        model.erase(model.begin(), model.upper_bound(first / 4));
      } else {
        const uint64_t last = first + random() % 4;
        set.Add(first, last);
        for (uint64_t at = first; at <= last; ++at) model.insert(at);
      }
      ASSERT_EQ(set.count(), model.size());
      for (uint64_t at = 0; at < 110; ++at) {
        ASSERT_EQ(set.Contains(at), model.contains(at)) << at;
      }
      uint64_t end = 0;
      set.ForEach([&](uint64_t range_first, uint64_t range_last) {
        EXPECT_GT(range_first, end + (end > 0 ? 1 : 0));
        EXPECT_LE(range_first, range_last);
        end = range_last;
      });
    }
  }
}

}  // namespace
}  // namespace fifobus
