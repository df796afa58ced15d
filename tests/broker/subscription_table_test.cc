#include "broker/core/routing/subscription_table.h"

#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "broker/core/routing/persistent_map.h"
#include "gtest/gtest.h"
#include "proto/topic.h"
#include "tests/support/core_fakes.h"

namespace fifobus {
namespace {

TEST(PersistentMap, BehavesAsAMapAndLeavesOldVersionsAlone) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  PersistentMap<int, int> map;
  std::map<int, int> model;
  PersistentMap<int, int> old;
  std::map<int, int> old_model;
  for (int step = 0; step < 2000; ++step) {
    const int key = static_cast<int>(random() % 100);
    if (random() % 3 == 0) {
      map = map.Without(key);
      model.erase(key);
    } else {
      map = map.With(key, step);
      model[key] = step;
    }
    if (step == 1000) {
      old = map;
      old_model = model;
    }
  }
  const auto entries = [](const PersistentMap<int, int>& from) {
    std::map<int, int> all;
    from.ForEach([&](int key, int value) { all[key] = value; });
    return all;
  };
  EXPECT_EQ(entries(map), model);
  EXPECT_EQ(entries(old), old_model);
  for (int key = 0; key < 100; ++key) {
    const int* found = map.Find(key);
    ASSERT_EQ(found != nullptr, model.contains(key));
    if (found != nullptr) {
      EXPECT_EQ(*found, model[key]);
    }
  }
}

TEST(PersistentMap, SortedInsertionDoesNotMakeItDeep) {
  PersistentMap<int, int> map;
  // A list of this depth would overflow the stack of the recursion.
  for (int key = 0; key < 200000; ++key) map = map.With(key, key);
  EXPECT_EQ(*map.Find(199999), 199999);
}

class SubscriptionTableTest : public testing::Test {
 protected:
  std::shared_ptr<Egress> NewEgress() {
    egresses_.push_back(std::make_shared<Egress>(
        static_cast<uint32_t>(egresses_.size()), EgressFormat::kFrames,
        options_, std::make_shared<FakeSink>(), counters_));
    return egresses_.back();
  }

  std::vector<uint32_t> Ids(std::string_view topic) const {
    std::vector<uint32_t> ids;
    for (const auto& egress : table_.snapshot()->Match(topic)) {
      ids.push_back(egress->id());
    }
    return ids;
  }

  BrokerOptions options_;
  Counters counters_;
  std::vector<std::shared_ptr<Egress>> egresses_;
  SubscriptionTable table_;
};

using IdList = std::vector<uint32_t>;

TEST_F(SubscriptionTableTest, AnEmptyTableMatchesNothing) {
  EXPECT_EQ(Ids("a"), IdList());
}

TEST_F(SubscriptionTableTest, LiteralAndWildcardPatternsMatch) {
  const auto literal = NewEgress();
  const auto any = NewEgress();
  const auto deep = NewEgress();
  table_.Add("a/b", literal);
  table_.Add("a/*", any);
  table_.Add("a/**", deep);
  EXPECT_EQ(Ids("a/b"), (IdList{0, 1, 2}));
  EXPECT_EQ(Ids("a/c"), (IdList{1, 2}));
  EXPECT_EQ(Ids("a/b/c"), (IdList{2}));
  EXPECT_EQ(Ids("a"), IdList());
}

TEST_F(SubscriptionTableTest, SeveralMatchingPatternsOfOneEgressCountOnce) {
  const auto egress = NewEgress();
  for (const char* pattern : {"a/b", "a/*", "*/b", "**", "a/**", "*/*"}) {
    table_.Add(pattern, egress);
  }
  EXPECT_EQ(Ids("a/b"), (IdList{0}));
}

TEST_F(SubscriptionTableTest, WildcardsInTheFirstLevelDoNotMatchReserved) {
  const auto egress = NewEgress();
  table_.Add("*/load", egress);
  table_.Add("**", egress);
  EXPECT_EQ(Ids("$sys/load"), IdList());
  table_.Add("$sys/**", egress);
  EXPECT_EQ(Ids("$sys/load"), (IdList{0}));
}

TEST_F(SubscriptionTableTest, ASnapshotNeverChanges) {
  const auto egress = NewEgress();
  const auto before = table_.snapshot();
  table_.Add("a", egress);
  const auto between = table_.snapshot();
  table_.Remove("a", egress->id());
  EXPECT_TRUE(before->Match("a").empty());
  EXPECT_EQ(between->Match("a").size(), 1u);
  EXPECT_TRUE(table_.snapshot()->Match("a").empty());
  EXPECT_LT(before->generation(), between->generation());
  EXPECT_EQ(table_.snapshot()->generation(), table_.generation());
}

TEST_F(SubscriptionTableTest, RemovingWhatIsNotThereIsHarmless) {
  const auto egress = NewEgress();
  table_.Add("a/b", egress);
  table_.Remove("a/b/c", egress->id());
  table_.Remove("a/*", egress->id());
  table_.Remove("a/b", 77);
  EXPECT_EQ(Ids("a/b"), (IdList{0}));
}

TEST_F(SubscriptionTableTest, ARemovedEgressIsNotKeptAlive) {
  auto egress = NewEgress();
  table_.Add("a/*/c", egress);
  table_.Remove("a/*/c", 0);
  egresses_.clear();
  EXPECT_EQ(egress.use_count(), 1);
}

// Against the definition, with many overlapping patterns.
TEST_F(SubscriptionTableTest, AgreesWithMatches) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  const auto random_name = [&](bool pattern) {
    std::string name;
    const size_t levels = 1 + random() % 4;
    for (size_t i = 0; i < levels; ++i) {
      if (i > 0) name += '/';
      const unsigned dice = random() % 10;
      if (pattern && dice < 2) {
        name += '*';
      } else if (pattern && dice < 4 && i + 1 == levels) {
        name += "**";
      } else {
        name += static_cast<char>('a' + random() % 3);
      }
    }
    return name;
  };
  std::vector<std::set<std::string>> patterns(20);
  for (size_t i = 0; i < patterns.size(); ++i) NewEgress();
  for (int step = 0; step < 600; ++step) {
    const size_t who = random() % patterns.size();
    const std::string pattern = random_name(true);
    if (random() % 3 == 0) {
      table_.Remove(pattern, static_cast<uint32_t>(who));
      patterns[who].erase(pattern);
    } else {
      table_.Add(pattern, egresses_[who]);
      patterns[who].insert(pattern);
    }
    const std::string topic = random_name(false);
    IdList expected;
    for (size_t i = 0; i < patterns.size(); ++i) {
      for (const std::string& p : patterns[i]) {
        if (!Matches(p, topic)) continue;
        expected.push_back(static_cast<uint32_t>(i));
        break;
      }
    }
    ASSERT_EQ(Ids(topic), expected) << topic;
    IdList reached;
    for (uint32_t id = 0; id < patterns.size(); ++id) {
      if (table_.snapshot()->Reaches(topic, id)) reached.push_back(id);
    }
    ASSERT_EQ(reached, expected) << topic;
  }
}

}  // namespace
}  // namespace fifobus
