// The broker's table of subscriptions finds the subscribers that a walk over
// all patterns finds.

#include "broker/core/routing/subscription_table.h"

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "broker/core/delivery/egress.h"
#include "broker/counters.h"
#include "broker/options.h"
#include "proto/topic.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/naive_topics.h"
#include "tests/fuzz/oracle.h"
#include "tests/support/core_fakes.h"

namespace fifobus::fuzz {
namespace {

constexpr uint32_t kEgresses = 6;

// A table, and what was said to it.
struct Subscribed {
  Subscribed() {
    for (uint32_t id = 0; id < kEgresses; ++id) {
      egresses.push_back(
          std::make_shared<Egress>(id, EgressFormat::kFrames, options,
                                   std::make_shared<FakeSink>(), counters));
    }
  }

  void Change(Input& input) {
    const uint8_t order = input.Byte();
    const uint32_t id = order % kEgresses;
    const std::string pattern = SmallName(input.Take(1 + order / 16 % 3),
                                          {"a", "b", "$a", "*", "**"}, 3);
    if (CheckPattern(pattern) != TopicFault::kNone) return;
    if (order >= 128) {
      (void)table.Remove(pattern, id);
      said.erase({pattern, id});
    } else {
      (void)table.Add(pattern, egresses[id]);
      said.insert({pattern, id});
    }
  }

  void Compare(const std::string& topic) const {
    std::set<uint32_t> wanted;
    for (const auto& [pattern, id] : said) {
      if (NaiveMatches(pattern, topic)) wanted.insert(id);
    }
    const auto snapshot = table.snapshot();
    std::vector<uint32_t> found;
    for (const auto& egress : snapshot->Match(topic)) {
      found.push_back(egress->id());
    }
    Require(found == std::vector<uint32_t>(wanted.begin(), wanted.end()),
            "Match finds each subscriber once, in the order of ids");
    for (uint32_t id = 0; id < kEgresses; ++id) {
      Require(snapshot->Reaches(topic, id) == wanted.contains(id), "Reaches");
    }
  }

  BrokerOptions options;
  Counters counters;
  std::vector<std::shared_ptr<Egress>> egresses;
  SubscriptionTable table;
  std::set<std::pair<std::string, uint32_t>> said;
};

}  // namespace
}  // namespace fifobus::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fifobus::fuzz::Input input(data, size);
  fifobus::fuzz::Subscribed subscribed;
  while (!input.empty()) {
    subscribed.Change(input);
    for (const char* topic : {"a", "b", "other", "$a", "a/b", "b/other", "$a/b",
                              "a/b/a", "other/a/b", "a/a/a/a"}) {
      subscribed.Compare(topic);
    }
  }
  return 0;
}
