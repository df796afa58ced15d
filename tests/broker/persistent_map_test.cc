#include "broker/core/routing/persistent_map.h"

#include <map>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "gtest/gtest.h"

namespace fifobus {
namespace {

template <typename Key>
std::vector<std::pair<Key, int>> Entries(const PersistentMap<Key, int>& map) {
  std::vector<std::pair<Key, int>> entries;
  map.ForEach(
      [&](const Key& key, int value) { entries.emplace_back(key, value); });
  return entries;
}

TEST(PersistentMap, FindsWhatWasPutIn) {
  const PersistentMap<std::string, int> empty;
  EXPECT_TRUE(empty.empty());
  EXPECT_EQ(empty.Find("a"), nullptr);
  const auto map = empty.With("a", 1).With("b", 2);
  ASSERT_NE(map.Find(std::string_view("a")), nullptr);
  EXPECT_EQ(*map.Find("a"), 1);
  EXPECT_EQ(*map.Find("b"), 2);
  EXPECT_EQ(map.Find("c"), nullptr);
}

TEST(PersistentMap, OlderVersionsStayAsTheyWere) {
  const auto one = PersistentMap<int, int>().With(1, 10);
  const auto two = one.With(1, 11).With(2, 20);
  const auto three = two.Without(1);
  EXPECT_EQ(*one.Find(1), 10);
  EXPECT_EQ(one.Find(2), nullptr);
  EXPECT_EQ(*two.Find(1), 11);
  EXPECT_EQ(three.Find(1), nullptr);
  EXPECT_EQ(*three.Find(2), 20);
}

TEST(PersistentMap, RemovingWhatIsMissingChangesNothing) {
  const auto map = PersistentMap<int, int>().With(1, 10);
  EXPECT_EQ(Entries(map.Without(2)), Entries(map));
  EXPECT_TRUE(map.Without(1).empty());
  EXPECT_TRUE(map.Without(1).Without(1).empty());
}

TEST(PersistentMap, BehavesAsAMapInEveryVersion) {
  std::mt19937 random(7);
  std::map<int, int> model;
  PersistentMap<int, int> map;
  std::vector<std::pair<std::map<int, int>, PersistentMap<int, int>>> versions;
  for (int step = 0; step < 5000; ++step) {
    const int key = static_cast<int>(random() % 300);
    if (random() % 3 == 0) {
      model.erase(key);
      map = map.Without(key);
    } else {
      model[key] = step;
      map = map.With(key, step);
    }
    if (step % 500 == 0) versions.emplace_back(model, map);
  }
  versions.emplace_back(model, map);
  for (const auto& [expected, version] : versions) {
    EXPECT_EQ(Entries(version), (std::vector<std::pair<int, int>>(
                                    expected.begin(), expected.end())));
  }
}

TEST(PersistentMap, SortedInsertionDoesNotDegenerate) {
  // A list of this length would overflow the stack on its way down.
  PersistentMap<int, int> map;
  for (int key = 0; key < 200000; ++key) map = map.With(key, key);
  EXPECT_EQ(*map.Find(199999), 199999);
  EXPECT_EQ(Entries(map).size(), 200000u);
}

}  // namespace
}  // namespace fifobus
