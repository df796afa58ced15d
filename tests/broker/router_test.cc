#include "broker/core/routing/router.h"

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "tests/support/core_fakes.h"

namespace fifobus {
namespace {

class RouterTest : public testing::Test {
 protected:
  struct Subscriber {
    std::shared_ptr<FakeSink> sink = std::make_shared<FakeSink>();
    std::shared_ptr<Egress> egress;
  };

  Subscriber Subscribe(const std::string& pattern,
                       EgressFormat format = EgressFormat::kFrames) {
    Subscriber subscriber;
    subscriber.egress = std::make_shared<Egress>(next_id_++, format, options_,
                                                 subscriber.sink, counters_);
    table_.Add(pattern, subscriber.egress);
    return subscriber;
  }

  // Routes the frames as one chunk, as an ingress would bring them.
  Router::Outcome Route(const std::vector<std::string>& frames) {
    std::string all;
    for (const std::string& frame : frames) all += frame;
    chunk_ = Chunk::CopyOf(all);
    router_.Begin(chunk_, valve_, PublisherId());
    std::string_view rest(chunk_->bytes(), all.size());
    Router::Outcome outcome = Router::Outcome::kRouted;
    for (const std::string& frame : frames) {
      const std::string_view in_chunk = rest.substr(0, frame.size());
      rest.remove_prefix(frame.size());
      outcome = router_.Add(in_chunk, ReadMessageFrame(in_chunk));
      if (outcome != Router::Outcome::kRouted) break;
    }
    router_.Flush();
    return outcome;
  }

  BrokerOptions options_;
  Counters counters_;
  SubscriptionTable table_;
  uint32_t next_id_ = 0;
  FakeStaging staging_;
  TopicStats topic_stats_{options_.topic_stats_max};
  Router router_{options_, table_, counters_, topic_stats_, &staging_};
  ChunkRef chunk_;
  std::shared_ptr<Valve> valve_;
};

const std::string kA1 = MessageFrame("a", "1");
const std::string kA2 = MessageFrame("a", "2");
const std::string kB1 = MessageFrame("b", "1");

TEST_F(RouterTest, SubscribersGetThePublishersOwnBytes) {
  const Subscriber all = Subscribe("**");
  const Subscriber a = Subscribe("a");
  Route({kA1, kB1, kA2});
  EXPECT_EQ(all.sink->written, kA1 + kB1 + kA2);
  EXPECT_EQ(a.sink->written, kA1 + kA2);
}

TEST_F(RouterTest, OneWritePerSubscriberAndChunk) {
  const Subscriber all = Subscribe("**");
  const Subscriber a = Subscribe("a");
  const Subscriber other = Subscribe("other");
  std::vector<std::string> frames;
  for (int i = 0; i < 100; ++i) frames.push_back(i % 2 == 0 ? kA1 : kB1);
  Route(frames);
  EXPECT_EQ(all.sink->writes, 1);
  EXPECT_EQ(a.sink->writes, 1);
  EXPECT_EQ(other.sink->writes, 0);
}

TEST_F(RouterTest, LongBytesForManyAreStagedOnce) {
  options_.staged_bytes_min = 1000;
  options_.staged_total_bytes_min = 12000;
  const std::string large = MessageFrame("a", std::string(2000, 'x'));
  const Subscriber tap = Subscribe("a", EgressFormat::kText);
  std::vector<Subscriber> of_a;
  for (int i = 0; i < 2; ++i) of_a.push_back(Subscribe("a"));
  Route({large});
  EXPECT_TRUE(staging_.loads.empty()) << "two are too few";
  of_a.push_back(Subscribe("a"));
  const Subscriber all = Subscribe("**");
  Route({kA1});
  EXPECT_TRUE(staging_.loads.empty()) << "that is too short";
  Route({large, kB1, large});
  EXPECT_EQ(staging_.loads, std::vector<std::string>{large + large});
  EXPECT_FALSE(staging_.loaded);
  for (const Subscriber& subscriber : of_a) {
    EXPECT_EQ(subscriber.sink->staged_writes, 1);
  }
  EXPECT_EQ(all.sink->staged_writes, 0) << "it gets other bytes";
  EXPECT_EQ(all.sink->written, kA1 + large + kB1 + large);
  EXPECT_EQ(tap.sink->staged_writes, 0);
}

TEST_F(RouterTest, ARepeatedMessageGoesTheWayOfTheOneBefore) {
  const Subscriber all = Subscribe("**");
  const std::string frames = kA1 + kA2 + kA2;
  chunk_ = Chunk::CopyOf(frames);
  router_.Begin(chunk_, valve_, PublisherId());
  const std::string_view in_chunk(chunk_->bytes(), frames.size());
  const size_t size = kA1.size();
  EXPECT_FALSE(router_.AddRepeated(in_chunk.substr(0, size), 1)) << "of none";
  ASSERT_EQ(router_.Add(in_chunk.substr(0, size),
                        ReadMessageFrame(in_chunk.substr(0, size))),
            Router::Outcome::kRouted);
  EXPECT_TRUE(router_.AddRepeated(in_chunk.substr(size, size), 1));
  EXPECT_TRUE(router_.AddRepeated(in_chunk.substr(2 * size, size), 1));
  router_.Flush();
  EXPECT_FALSE(router_.AddRepeated(in_chunk.substr(0, size), 1)) << "flushed";
  EXPECT_EQ(all.sink->written, frames);
  EXPECT_EQ(all.egress->state().delivered, 3u);
  EXPECT_EQ(counters_.messages_published.value(), 3u);
  EXPECT_EQ(topic_stats_.SumOf("a").messages, 3u);
  EXPECT_EQ(topic_stats_.SumOf("a").bytes, 3u);
}

TEST_F(RouterTest, WhatIsRenderedIsNeverTakenForRepeated) {
  const Subscriber tap = Subscribe("a", EgressFormat::kText);
  chunk_ = Chunk::CopyOf(kA1 + kA2);
  router_.Begin(chunk_, valve_, PublisherId());
  const std::string_view first(chunk_->bytes(), kA1.size());
  ASSERT_EQ(router_.Add(first, ReadMessageFrame(first)),
            Router::Outcome::kRouted);
  EXPECT_FALSE(
      router_.AddRepeated({chunk_->bytes() + kA1.size(), kA2.size()}, 1));
  router_.Flush();
}

TEST_F(RouterTest, WhatWasTakenAtOnceLeavesTheChunkFree) {
  const Subscriber all = Subscribe("**");
  Route({kA1, kA2});
  EXPECT_TRUE(chunk_.unique());
}

TEST_F(RouterTest, ASubscriptionCountsFromTheNextChunk) {
  Route({kA1});
  const Subscriber a = Subscribe("a");
  Route({kA2});
  EXPECT_EQ(a.sink->written, kA2);
  table_.Remove("a", a.egress->id());
  Route({kA1});
  EXPECT_EQ(a.sink->written, kA2);
}

TEST_F(RouterTest, CountsByTopicAndWhatNobodyGets) {
  const Subscriber a = Subscribe("a");
  Route({kA1, kB1, kA2});
  EXPECT_EQ(counters_.messages_published.value(), 3u);
  EXPECT_EQ(counters_.messages_no_subscriber.value(), 1u);
  topic_stats_.Collect([](const std::string& topic, const TopicSum& sum) {
    EXPECT_EQ(sum.messages, topic == "a" ? 2u : 1u);
    EXPECT_EQ(sum.bytes, sum.messages);
    EXPECT_EQ(sum.no_subscriber, topic == "a" ? 0u : 1u);
  });
}

TEST_F(RouterTest, RefusesInvalidAndReservedTopics) {
  const Subscriber all = Subscribe("**");
  EXPECT_EQ(Route({MessageFrame("a//b", "")}), Router::Outcome::kBadTopic);
  EXPECT_EQ(Route({MessageFrame("", "")}), Router::Outcome::kBadTopic);
  EXPECT_EQ(Route({MessageFrame("$sys/x", "")}),
            Router::Outcome::kReservedTopic);
  EXPECT_EQ(all.sink->written, "");
}

TEST_F(RouterTest, GoodFramesBeforeABadOneAreDelivered) {
  const Subscriber all = Subscribe("**");
  EXPECT_EQ(Route({kA1, MessageFrame("bad topic", "")}),
            Router::Outcome::kBadTopic);
  EXPECT_EQ(all.sink->written, kA1);
}

TEST_F(RouterTest, TapsGetTextAndJson) {
  const Subscriber text = Subscribe("a", EgressFormat::kText);
  const Subscriber json = Subscribe("**", EgressFormat::kJson);
  const Subscriber frames = Subscribe("a");
  Route({kA1, kB1, kA2});
  EXPECT_EQ(text.sink->written, "1\n2\n");
  EXPECT_EQ(json.sink->written,
            "{\"topic\":\"a\",\"payload\":\"1\"}\n"
            "{\"topic\":\"b\",\"payload\":\"1\"}\n"
            "{\"topic\":\"a\",\"payload\":\"2\"}\n");
  EXPECT_EQ(frames.sink->written, kA1 + kA2);
  EXPECT_EQ(text.sink->writes, 1);
}

TEST_F(RouterTest, ForgettingRoutesLosesNothing) {
  options_.routes_max = 4;
  const Subscriber all = Subscribe("**");
  std::string expected;
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 10; ++i) {
      const std::string frame = MessageFrame("t" + std::to_string(i), "x");
      Route({frame});
      expected += frame;
    }
  }
  EXPECT_EQ(all.sink->written, expected);
}

TEST_F(RouterTest, AFullSubscriberPausesTheFeeder) {
  const auto valve = std::make_shared<FakeValve>();
  valve_ = valve;
  const Subscriber a = Subscribe("a");
  a.sink->room = 0;
  const std::string big = MessageFrame("a", std::string(400'000, 'x'));
  Route({big, big, big});
  EXPECT_EQ(valve->pauses, 1);
}

std::string FrameThatExpires(const std::string& payload, absl::Time expiry) {
  MessageFields fields;
  fields.topic = "a";
  fields.payload = payload;
  fields.expiry_unix_nanos = static_cast<uint64_t>(absl::ToUnixNanos(expiry));
  std::string frame;
  AppendMessageFrame(fields, frame);
  return frame;
}

TEST_F(RouterTest, WhatExpiredOnItsWayIsAnnouncedAndNotDelivered) {
  const Subscriber a = Subscribe("a");
  const Subscriber b = Subscribe("b");
  const std::string late = FrameThatExpires("late", absl::FromUnixSeconds(1));
  const std::string good =
      FrameThatExpires("good", absl::Now() + absl::Hours(1));
  EXPECT_EQ(Route({kA1, late, kA2, kB1, good}), Router::Outcome::kRouted);
  const SplitFrames split = Split(a.sink->written);
  ASSERT_EQ(split.frames.size(), 4u);
  EXPECT_EQ(split.frames[0], kA1);
  EXPECT_EQ(Parse(split.frames[1]).gap().reason(), pb::Gap::REASON_EXPIRED);
  EXPECT_EQ(Parse(split.frames[1]).gap().messages(), 1u);
  EXPECT_EQ(split.frames[2], kA2);
  EXPECT_EQ(split.frames[3], good);
  EXPECT_EQ(b.sink->written, kB1);
  EXPECT_EQ(counters_.messages_expired.value(), 1u);
  EXPECT_EQ(counters_.messages_published.value(), 5u);
}

TEST_F(RouterTest, WhatExpiresInAQueueIsAnnouncedAndNotDelivered) {
  const Subscriber a = Subscribe("a");
  const Subscriber json = Subscribe("a", EgressFormat::kJson);
  a.sink->room = 0;
  json.sink->room = 0;
  // Not expired when it is routed, and expired when it is looked at again.
  const std::string soon =
      FrameThatExpires("soon", absl::Now() + absl::Milliseconds(20));
  Route({kA1, soon, kA2});
  while (absl::Now() < absl::FromUnixNanos(static_cast<int64_t>(
                           Parse(soon).message().expiry_unix_nanos()))) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  for (const Subscriber* subscriber : {&a, &json}) {
    subscriber->sink->room = SIZE_MAX;
    subscriber->egress->OnWritable();
    EXPECT_EQ(subscriber->egress->state().dropped, 1u);
    EXPECT_EQ(subscriber->sink->written.find("soon"), std::string::npos);
  }
  const SplitFrames split = Split(a.sink->written);
  ASSERT_EQ(split.frames.size(), 3u);
  EXPECT_EQ(Parse(split.frames[1]).gap().reason(), pb::Gap::REASON_EXPIRED);
  EXPECT_EQ(split.frames[2], kA2);
}

TEST_F(RouterTest, HasSubscriberFollowsTheTable) {
  EXPECT_FALSE(router_.HasSubscriber("a"));
  const Subscriber a = Subscribe("*");
  EXPECT_TRUE(router_.HasSubscriber("a"));
  table_.Remove("*", a.egress->id());
  EXPECT_FALSE(router_.HasSubscriber("a"));
}

TEST_F(RouterTest, MoreTopicsThanRoutesForgetNoCount) {
  options_.routes_max = 4;
  options_.route_targets_max = 3;
  const Subscriber a = Subscribe("**");
  const Subscriber b = Subscribe("t/*");
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 10; ++i) {
      ASSERT_EQ(Route({MessageFrame("t/" + std::to_string(i), "x")}),
                Router::Outcome::kRouted);
    }
  }
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(topic_stats_.SumOf("t/" + std::to_string(i)).messages, 3u);
  }
  EXPECT_EQ(a.egress->state().delivered, 30u);
  EXPECT_EQ(b.egress->state().delivered, 30u);
}

TEST_F(RouterTest, RepliesTakeNoPlaceAmongRoutesOrTopics) {
  const Subscriber inbox = Subscribe("_inbox/me/*");
  Route({kA1});
  for (int i = 0; i < 100; ++i) {
    Route({MessageFrame("_inbox/me/" + std::to_string(i), "x")});
  }
  Route({MessageFrame("_inbox/me/1", "x"), MessageFrame("_inbox/you/1", "x"),
         MessageFrame("_inbox/me/1", "x")});
  EXPECT_EQ(inbox.egress->state().delivered, 102u);
  int topics = 0;
  topic_stats_.Collect([&](const std::string&, const TopicSum&) { ++topics; });
  EXPECT_EQ(topics, 1);
  EXPECT_EQ(topic_stats_.replies().messages, 103u);
  EXPECT_EQ(topic_stats_.replies().no_subscriber, 1u);
}

TEST_F(RouterTest, WhatTheBrokerPublishesKeepsTheLimitOfFrames) {
  BrokerOptions small = options_;
  small.frame_bytes_max = 100;
  Router router{small, table_, counters_, topic_stats_};
  const Subscriber all = Subscribe("$sys/**");
  MessageFields fields;
  fields.topic = "$sys/x";
  fields.payload = "small";
  router.PublishOwn(fields);
  const std::string large(100, 'x');
  fields.payload = large;
  router.PublishOwn(fields);
  EXPECT_EQ(all.egress->state().delivered, 1u);
}

TEST(RouterDeathTest, BelongsToOneThread) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  BrokerOptions options;
  Counters counters;
  SubscriptionTable table;
  TopicStats stats(10);
  Router router{options, table, counters, stats};
  router.Refresh();
  EXPECT_DEATH(std::thread([&] { router.Refresh(); }).join(), "thread_rule");
}

}  // namespace
}  // namespace fifobus
