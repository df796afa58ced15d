#include "broker/core/retained/retained_store.h"

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "broker/rules/topic_rules.h"
#include "fmt/format.h"
#include "gtest/gtest.h"
#include "proto/expiry.h"
#include "proto/topic.h"
#include "tests/support/core_fakes.h"

namespace fifobus {
namespace {

using Kept = RetainedStore::Kept;
using Lines = std::vector<std::string>;

// Writes down what it is told.
class Notes : public RetainedObserver {
 public:
  void OnRetained(const std::string& topic,
                  const RetainedValue& newest) override {
    lines.push_back(topic + "=" + Parse(newest.frame()).message().payload());
  }
  void OnForgotten(const std::string& topic) override {
    lines.push_back(topic + " gone");
  }
  Lines lines;
};

class RetainedStoreTest : public testing::Test {
 protected:
  Kept Keep(const MessageFields& fields) {
    std::string frame;
    AppendMessageFrame(fields, frame);
    RetainedStore::Transaction transaction(store_);
    return transaction.Keep(
        frame, ReadMessageFrame(frame),
        TopicRules(options_.history, {}).HistoryOf(fields.topic));
  }

  Kept Retain(std::string_view topic, std::string_view payload,
              uint64_t expiry_unix_nanos = 0) {
    MessageFields fields;
    fields.topic = topic;
    fields.payload = payload;
    fields.retain = true;
    fields.expiry_unix_nanos = expiry_unix_nanos;
    return Keep(fields);
  }

  Kept Plain(std::string_view topic, std::string_view payload) {
    MessageFields fields;
    fields.topic = topic;
    fields.payload = payload;
    return Keep(fields);
  }

  Lines Replayed(std::string_view pattern) {
    Lines lines;
    RetainedStore::Transaction transaction(store_);
    transaction.Replay(pattern, [&](const std::string& topic,
                                    const RetainedValue& value) {
      lines.push_back(topic + "=" + Parse(value.frame()).message().payload());
    });
    return lines;
  }

  BrokerOptions options_;
  Counters counters_;
  RetainedStore store_{options_, counters_};
};

TEST_F(RetainedStoreTest, TheNewestValueIsReplayed) {
  EXPECT_EQ(Retain("a", "1"), Kept::kRetained);
  EXPECT_EQ(Retain("a", "2"), Kept::kRetained);
  EXPECT_EQ(Replayed("a"), Lines{"a=2"});
  EXPECT_EQ(Replayed("b"), Lines{});
  EXPECT_EQ(store_.topics(), 1u);
}

TEST_F(RetainedStoreTest, AValueIsADeliveryAndThePublishersOwnFrame) {
  Retain("a", "1");
  RetainedStore::Transaction transaction(store_);
  transaction.Replay("a", [](const std::string&, const RetainedValue& value) {
    const SplitFrames split =
        Split({value.chunk->bytes(), value.chunk->capacity()});
    ASSERT_EQ(split.frames.size(), 2u);
    EXPECT_EQ(split.rest, "");
    EXPECT_TRUE(Parse(split.frames[0]).delivery().retained());
    EXPECT_EQ(split.frames[1], value.frame());
    EXPECT_TRUE(Parse(value.frame()).message().retain());
  });
}

TEST_F(RetainedStoreTest, AnEmptyMessageClears) {
  Retain("a", "1");
  EXPECT_EQ(Retain("a", ""), Kept::kCleared);
  EXPECT_EQ(Replayed("**"), Lines{});
  EXPECT_EQ(store_.topics(), 0u);
  EXPECT_EQ(Retain("never/seen", ""), Kept::kCleared);
}

TEST_F(RetainedStoreTest, HistoryKeepsTheLastFewOldestFirst) {
  options_.history = {{"h/**", 2}, {"h/more", 3}, {"*", 1}};
  for (const char* payload : {"1", "2", "", "4"}) {
    EXPECT_EQ(Plain("h/x", payload), Kept::kRetained);
    EXPECT_EQ(Plain("h/more", payload), Kept::kRetained);
  }
  EXPECT_EQ(Replayed("h/*"),
            (Lines{"h/more=2", "h/more=", "h/more=4", "h/x=", "h/x=4"}));
  EXPECT_EQ(Retain("h/x", ""), Kept::kCleared);
  EXPECT_EQ(Replayed("h/x"), Lines{});
}

TEST_F(RetainedStoreTest, WhatHasExpiredIsForgottenWhenItIsSeen) {
  const auto now = static_cast<uint64_t>(absl::GetCurrentTimeNanos());
  const uint64_t hour = 3'600'000'000'000;
  Retain("a/old", "1", now - hour);
  Retain("a/young", "2", now + hour);
  EXPECT_EQ(store_.topics(), 2u);
  EXPECT_EQ(Replayed("a/*"), Lines{"a/young=2"});
  EXPECT_EQ(store_.topics(), 1u);
}

TEST_F(RetainedStoreTest, ReplayFindsWhatThePatternMatches) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  const auto level = [&](int choices) {
    return std::string(1, static_cast<char>('a' + random() % choices));
  };
  std::vector<std::string> topics;
  for (int i = 0; i < 200; ++i) {
    std::string topic = level(4);
    for (unsigned depth = random() % 3; depth > 0; --depth) {
      topic += "/" + level(4);
    }
    topics.push_back(topic);
    Retain(topic, "x");
  }
  std::sort(topics.begin(), topics.end());
  topics.erase(std::unique(topics.begin(), topics.end()), topics.end());
  for (const char* pattern :
       {"**", "*", "*/*", "a", "a/*", "a/**", "a/b", "*/b", "a/*/c", "e/**"}) {
    Lines expected;
    for (const std::string& topic : topics) {
      if (Matches(pattern, topic)) expected.push_back(topic + "=x");
    }
    EXPECT_EQ(Replayed(pattern), expected) << pattern;
  }
}

TEST_F(RetainedStoreTest, TopicsAreBounded) {
  options_.retained_topics_max = 2;
  Retain("a", "1");
  Retain("b", "1");
  EXPECT_EQ(Retain("c", "1"), Kept::kRefused);
  EXPECT_EQ(counters_.messages_not_retained.value(), 1u);
  EXPECT_EQ(Retain("a", "2"), Kept::kRetained);
  Retain("b", "");
  EXPECT_EQ(Retain("c", "1"), Kept::kRetained);
  EXPECT_EQ(Replayed("*"), (Lines{"a=2", "c=1"}));
}

TEST_F(RetainedStoreTest, WhatDoesNotFitIsRefusedAndIsNotTakenForTheOldValue) {
  options_.retained_bytes_max = 1000;
  Retain("other", std::string(500, 'x'));
  Retain("a", "small");
  EXPECT_EQ(Retain("a", std::string(600, 'x')), Kept::kRefused);
  EXPECT_EQ(Replayed("a"), Lines{});
  EXPECT_EQ(counters_.messages_not_retained.value(), 1u);
  // What was given up is room again.
  EXPECT_EQ(Retain("a", std::string(400, 'y')), Kept::kRetained);
}

TEST_F(RetainedStoreTest, OlderHistoryMakesRoomForNewer) {
  options_.retained_bytes_max = 1000;
  options_.history = {{"h", 10}};
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(Plain("h", fmt::format("{}{}", i, std::string(300, 'x'))),
              Kept::kRetained);
  }
  const Lines kept = Replayed("h");
  ASSERT_EQ(kept.size(), 3u);
  EXPECT_TRUE(kept[0].starts_with("h=2"));
}

TEST_F(RetainedStoreTest, TheObserverIsToldEachTopicsNewest) {
  options_.history = {{"h", 2}};
  Notes notes;
  store_.SetObserver(&notes);
  Retain("a", "1");
  Plain("h", "1");
  Retain("h", "2");
  Retain("h", "");
  Retain("old", "x", 1);
  Replayed("**");
  EXPECT_EQ(notes.lines,
            (Lines{"a=1", "h=1", "h=2", "h gone", "old=x", "old gone"}));
}

TEST_F(RetainedStoreTest, WhatHasExpiredMakesRoom) {
  options_.retained_topics_max = 3;
  const uint64_t past = UnixNanosNow() - 1;
  for (const char* topic : {"a", "b", "c"}) Retain(topic, "x", past);
  EXPECT_EQ(Retain("d", "y"), Kept::kRetained);
  EXPECT_EQ(Replayed("**"), Lines{"d=y"});
  options_.retained_topics_max = 100;
  options_.retained_bytes_max = 2000;
  for (int i = 0; i < 10; ++i) {
    Retain(fmt::format("e/{}", i), std::string(150, 'x'), past);
  }
  EXPECT_EQ(Retain("f", std::string(1500, 'x')), Kept::kRetained);
  EXPECT_EQ(counters_.messages_not_retained.value(), 0u);
}

TEST_F(RetainedStoreTest, ForgetsWhatHasExpiredAndSaysWhenItGoesOn) {
  options_.history = {{"h", 3}};
  Notes notes;
  store_.SetObserver(&notes);
  const uint64_t past = UnixNanosNow() - 1;
  const uint64_t future = past + uint64_t{3600} * 1'000'000'000;
  Retain("a", "1", past);
  Retain("b", "1", future);
  Retain("b", "2", future + 1);
  Retain("c", "1");
  for (const uint64_t expiry : {future + 5, past, past}) {
    Retain("h", "x", expiry);
  }
  notes.lines.clear();
  {
    RetainedStore::Transaction retained(store_);
    EXPECT_EQ(retained.ForgetExpired(), future + 1);
  }
  store_.SetObserver(nullptr);
  EXPECT_EQ(store_.topics(), 3u);
  std::sort(notes.lines.begin(), notes.lines.end());
  EXPECT_EQ(notes.lines, (Lines{"a gone", "h=x"}));
  Retain("b", "");
  RetainedStore::Transaction retained(store_);
  EXPECT_EQ(retained.ForgetExpired(), future + 5) << "one in h";
}

TEST_F(RetainedStoreTest, ForgetsSoManyAtOnceThatOthersNeedNotWaitLong) {
  const uint64_t past = UnixNanosNow() - 1;
  const size_t count = 2 * RetainedStore::kForgottenAtOnce + 1;
  for (size_t i = 0; i < count; ++i) {
    Retain("t/" + std::to_string(i), "x", past);
  }
  for (const size_t left : {count - RetainedStore::kForgottenAtOnce,
                            count - 2 * RetainedStore::kForgottenAtOnce}) {
    RetainedStore::Transaction retained(store_);
    EXPECT_EQ(retained.ForgetExpired(), past);
    EXPECT_EQ(store_.topics(), left);
  }
  RetainedStore::Transaction retained(store_);
  EXPECT_EQ(retained.ForgetExpired(), 0u);
}

}  // namespace
}  // namespace fifobus
