#include <memory>
#include <string>
#include <vector>

#include "broker/core/routing/router.h"
#include "broker/core/routing/subscribe_with_retained.h"
#include "gtest/gtest.h"
#include "tests/support/core_fakes.h"

namespace fifobus {
namespace {

std::string RetainedFrame(std::string_view topic, std::string_view payload) {
  MessageFields fields;
  fields.topic = topic;
  fields.payload = payload;
  fields.retain = true;
  std::string frame;
  AppendMessageFrame(fields, frame);
  return frame;
}

const std::string kPlain = MessageFrame("a", "plain");
const std::string kRetained = RetainedFrame("a", "retained");

// A router step by step, and who subscribes between the steps.
class RetainedReplayTest : public testing::Test {
 protected:
  struct Subscriber {
    std::shared_ptr<FakeSink> sink = std::make_shared<FakeSink>();
    std::shared_ptr<Egress> egress;
  };

  Subscriber Subscribe(uint32_t id, const std::string& pattern,
                       EgressFormat format = EgressFormat::kFrames) {
    Subscriber subscriber;
    subscriber.egress = std::make_shared<Egress>(id, format, options_,
                                                 subscriber.sink, counters_);
    SubscribeWithRetained(store_, table_, pattern, subscriber.egress);
    return subscriber;
  }

  void Begin(const std::vector<std::string>& frames) {
    std::string all;
    for (const std::string& frame : frames) all += frame;
    chunk_ = Chunk::CopyOf(all);
    rest_ = std::string_view(chunk_->bytes(), all.size());
    router_.Begin(chunk_, valve_, PublisherId());
  }
  void AddNext() {
    const size_t frame_bytes = FindFrame(rest_, rest_.size()).frame_bytes;
    const std::string_view frame = rest_.substr(0, frame_bytes);
    rest_.remove_prefix(frame_bytes);
    ASSERT_EQ(router_.Add(frame, ReadMessageFrame(frame)),
              Router::Outcome::kRouted);
  }

  // The payloads that were written, "retained:" before those replayed.
  static std::vector<std::string> Payloads(const Subscriber& subscriber) {
    std::vector<std::string> payloads;
    std::string mark;
    for (const std::string& bytes : Split(subscriber.sink->written).frames) {
      const pb::Frame frame = Parse(bytes);
      if (frame.has_message()) {
        payloads.push_back(mark + frame.message().payload());
      }
      mark = frame.delivery().retained() ? "replayed:" : "";
    }
    return payloads;
  }

  using Lines = std::vector<std::string>;

  BrokerOptions options_;
  Counters counters_;
  SubscriptionTable table_;
  RetainedStore store_{options_, counters_};
  TopicStats topic_stats_{options_.topic_stats_max};
  Router router_{options_, table_, counters_, topic_stats_, nullptr, &store_};
  ChunkRef chunk_;
  std::string_view rest_;
  std::shared_ptr<Valve> valve_;
};

TEST_F(RetainedReplayTest, WhoSubscribesAfterTheReadGetsTheMessageOnce) {
  Begin({kRetained});
  const Subscriber subscriber = Subscribe(0, "a");
  AddNext();
  router_.Flush();
  EXPECT_EQ(Payloads(subscriber), Lines{"retained"});
}

TEST_F(RetainedReplayTest, WhoSubscribesAfterTheFlushGetsTheMessageOnce) {
  Begin({kRetained});
  AddNext();
  router_.Flush();
  const Subscriber subscriber = Subscribe(0, "a");
  EXPECT_EQ(Payloads(subscriber), Lines{"replayed:retained"});
}

TEST_F(RetainedReplayTest, TheStreamGoesOnBehindTheReplay) {
  Begin({kRetained, kPlain, RetainedFrame("a", "newer")});
  AddNext();
  router_.Flush();
  const Subscriber subscriber = Subscribe(0, "*");
  router_.Refresh();
  AddNext();
  AddNext();
  router_.Flush();
  EXPECT_EQ(Payloads(subscriber),
            (Lines{"replayed:retained", "plain", "newer"}));
}

// Egresses' ids are given anew when their subscriber has gone, which may happen
// while another worker is in the middle of a chunk.
TEST_F(RetainedReplayTest, ANewSubscriberGetsNothingOfOneWhoHadItsId) {
  const Subscriber before = Subscribe(0, "a");
  Begin({kPlain, kRetained});
  AddNext();
  table_.Remove("a", 0);
  const Subscriber after = Subscribe(0, "a");
  AddNext();
  router_.Flush();
  EXPECT_EQ(Payloads(before), Lines{"plain"});
  EXPECT_EQ(Payloads(after), Lines{"retained"});
}

TEST_F(RetainedReplayTest, ManyValuesComeInOrderAndInFewWrites) {
  Lines expected;
  for (int i = 100; i < 300; ++i) {
    const std::string topic = "t/" + std::to_string(i);
    Begin({RetainedFrame(topic, topic)});
    AddNext();
    router_.Flush();
    expected.push_back("replayed:" + topic);
  }
  const Subscriber subscriber = Subscribe(0, "t/*");
  EXPECT_EQ(Payloads(subscriber), expected);
  EXPECT_LE(subscriber.sink->writes, 4);
}

TEST_F(RetainedReplayTest, TheBrokersOwnMessagesGoToWhoSubscribesAndNoFurther) {
  const Subscriber frames = Subscribe(0, "$sys/*");
  const Subscriber text = Subscribe(1, "$sys/x", EgressFormat::kText);
  MessageFields fields;
  fields.topic = "$sys/x";
  fields.payload = "own";
  fields.retain = true;
  router_.PublishOwn(fields);
  EXPECT_EQ(Payloads(frames), Lines{"own"});
  EXPECT_EQ(text.sink->written, "own\n");
  EXPECT_EQ(store_.topics(), 0u);
  EXPECT_EQ(topic_stats_.SumOf("$sys/x").messages, 0u);
}

TEST_F(RetainedReplayTest, OfAHistoryThatIsTooLongATapGetsTheNewest) {
  options_.egress_queue_bytes_max = 50;
  for (int i = 0; i < 10; ++i) {
    const std::string frame = MessageFrame("a", "message " + std::to_string(i));
    RetainedStore::Transaction transaction(store_);
    ASSERT_EQ(transaction.Keep(frame, ReadMessageFrame(frame), /*history=*/10),
              RetainedStore::Kept::kRetained);
  }
  const Subscriber text = Subscribe(1, "a", EgressFormat::kText);
  EXPECT_EQ(text.sink->written,
            "message 5\nmessage 6\nmessage 7\nmessage 8\nmessage 9\n");
  EXPECT_EQ(counters_.messages_dropped.value(), 5u);
  const Subscriber json = Subscribe(2, "a", EgressFormat::kJson);
  EXPECT_EQ(json.sink->written,
            "{\"gap\":{\"reason\":\"overflow\",\"messages\":9}}\n"
            "{\"topic\":\"a\",\"payload\":\"message 9\",\"retained\":true}\n");
}

}  // namespace
}  // namespace fifobus
