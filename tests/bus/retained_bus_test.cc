// Retained values over real FIFOs: for each subscriber the value and then the
// live stream, without a hole and without a duplicate; over restarts; for taps.
#include <fcntl.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "proto/frame_writer.h"
#include "tests/support/bus_support.h"

namespace fifobus {
namespace {

std::string RetainedFrame(std::string_view topic, std::string_view payload,
                          uint64_t confirm_id = 0) {
  MessageFields fields;
  fields.topic = topic;
  fields.payload = payload;
  fields.retain = true;
  fields.confirm_id = confirm_id;
  std::string frame;
  AppendMessageFrame(fields, frame);
  return frame;
}

// Publishes and waits until it is in force.
void Retain(RawSession& session, std::string_view topic,
            std::string_view payload) {
  session.Write(RetainedFrame(topic, payload, 1));
  const pb::Frame confirm = session.Next();
  EXPECT_TRUE(confirm.confirm().retained()) << confirm.ShortDebugString();
}

// What a new subscriber gets before Subscribed: "topic=payload".
std::vector<std::string> Replayed(const TestBus& bus,
                                  std::string_view pattern) {
  RawSession session(bus.dir());
  session.Greet();
  session.Write(SubscribeFrame(pattern));
  std::vector<std::string> lines;
  while (true) {
    const pb::Frame frame = session.Next();
    if (!frame.has_delivery()) {
      EXPECT_TRUE(frame.has_subscribed()) << frame.ShortDebugString();
      return lines;
    }
    EXPECT_TRUE(frame.delivery().retained());
    const pb::Frame next = session.Next();
    lines.push_back(next.message().topic() + "=" + next.message().payload());
  }
}

using Lines = std::vector<std::string>;

// Subscribes, reads so many messages, and Subscribed, and leaves. The first is
// the retained one. Subscribed may come behind any number of live messages:
// other workers publish them as soon as the subscription is in the table.
void CheckOneVisit(const TestBus& bus, std::string_view pattern, int count) {
  RawSession session(bus.dir());
  session.Greet();
  session.Write(SubscribeFrame(pattern));
  ASSERT_TRUE(session.Next().delivery().retained());
  int last = -1;
  bool subscribed = false;
  const absl::Time deadline = absl::Now() + kHang;
  for (int seen = 0; seen < count || !subscribed;) {
    ASSERT_LT(absl::Now(), deadline);
    const pb::Frame frame = session.Next();
    if (frame.has_subscribed()) {
      subscribed = true;
      continue;
    }
    ASSERT_TRUE(frame.has_message()) << frame.ShortDebugString();
    const int number = std::stoi(frame.message().payload());
    ASSERT_TRUE(seen == 0 || number == last + 1) << last << " then " << number;
    last = number;
    ++seen;
  }
}

TEST(RetainedBus, EachVisitorSeesTheValueAndThenTheStreamWithoutHole) {
  BrokerOptions options;
  options.workers = 4;
  // A machine that is busy must not make a slow visitor of a quick one.
  options.stall_timeout = kHang;
  const TestBus bus(options);
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  RawSession publisher(bus.dir());
  publisher.Greet();
  Retain(publisher, "live/a", "0");
  std::atomic<bool> done{false};
  std::thread publishing([&] {
    std::mt19937 random(seed);
    for (int next = 1; !done;) {
      std::string batch;
      for (unsigned i = random() % 50; i > 0; --i) {
        // Others in between, so that runs begin and end within a chunk.
        if (random() % 4 == 0) batch += RetainedFrame("other", "x");
        batch += RetainedFrame("live/a", std::to_string(next++));
      }
      publisher.Write(batch);
      // A pause now and then lets visitors come between two chunks.
      if (random() % 8 == 0) absl::SleepFor(absl::Microseconds(200));
    }
  });
  std::vector<std::thread> visiting;
  for (const char* pattern : {"live/a", "live/*", "live/a", "live/**"}) {
    visiting.emplace_back([&bus, pattern] {
      for (int visit = 0; visit < 15; ++visit) {
        CheckOneVisit(bus, pattern, 100);
        if (testing::Test::HasFatalFailure()) return;
      }
    });
  }
  for (std::thread& thread : visiting) thread.join();
  done = true;
  publishing.join();
}

TEST(RetainedBus, AllThatIsRetainedArrivesHoweverMuchItIs) {
  const TestBus bus;
  RawSession publisher(bus.dir());
  publisher.Greet();
  // More than pipe and queue hold.
  const std::string payload(50'000, 'x');
  constexpr int kTopics = 100;
  for (int i = 0; i < kTopics; ++i) {
    Retain(publisher, "t/" + std::to_string(i), payload);
  }
  EXPECT_EQ(Replayed(bus, "t/*").size(), static_cast<size_t>(kTopics));
  EXPECT_EQ(bus.Count("messages_dropped"), 0u);
}

TEST(RetainedBus, TheNextBrokerHasTheValues) {
  TestBus bus;
  {
    RawSession publisher(bus.dir());
    publisher.Greet();
    Retain(publisher, "a/b", "kept");
    Retain(publisher, "a/c", "cleared");
    Retain(publisher, "a/c", "");
  }
  bus.Stop();
  std::ifstream file(bus.dir() + "/topics/a/b.last");
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(file), {}), "kept");
  bus.Restart();
  EXPECT_EQ(Replayed(bus, "**"), Lines{"a/b=kept"});
  EXPECT_EQ(bus.Count("topics_retained"), 1u);
}

TEST(RetainedBus, LinesOfATopicWithHistoryAreKeptWithoutASubscriber) {
  BrokerOptions options;
  options.history = {{"log/*", 2}};
  const TestBus bus(options);
  const std::string topics = bus.dir() + "/topics/";
  std::filesystem::create_directories(topics + "log/x.out");
  ASSERT_TRUE(
      WaitUntil([&] { return std::filesystem::is_fifo(topics + "log/x.in"); }));
  std::ofstream(topics + "log/x.in") << "one\ntwo\nthree\n";
  ASSERT_TRUE(WaitUntil([&] { return bus.Count("messages_published") == 3; }));
  EXPECT_EQ(Replayed(bus, "log/x"), (Lines{"log/x=two", "log/x=three"}));
}

TEST(RetainedBus, ANewTapBeginsWithTheRetainedValue) {
  const TestBus bus;
  const std::string topics = bus.dir() + "/topics/";
  RawSession publisher(bus.dir());
  publisher.Greet();
  Retain(publisher, "t", "old");
  std::filesystem::create_directories(topics + "t.out");
  for (const char* name : {"me", "me.json", "me.frames"}) {
    MakeFifo(topics + "t.out/" + name);
  }
  ASSERT_TRUE(
      WaitUntil([&] { return bus.broker().CollectStats().taps_size() == 3; }));
  const auto open_tap = [&](const char* name) {
    return UniqueFd(open((topics + "t.out/" + name).c_str(), O_RDONLY));
  };
  const UniqueFd text = open_tap("me");
  const UniqueFd json = open_tap("me.json");
  const UniqueFd frames = open_tap("me.frames");
  publisher.Write(RetainedFrame("t", "new", 1));
  EXPECT_EQ(publisher.Next().confirm().taps(), 3u);
  EXPECT_EQ(ReadBytes(text.get(), 8), "old\nnew\n");
  const std::string old_line =
      "{\"topic\":\"t\",\"payload\":\"old\",\"retained\":true}\n";
  const std::string new_line = "{\"topic\":\"t\",\"payload\":\"new\"}\n";
  EXPECT_EQ(ReadBytes(json.get(), old_line.size() + new_line.size()),
            old_line + new_line);
  DeliveryView delivery;
  delivery.retained = true;
  std::string expected;
  AppendDeliveryFrame(delivery, expected);
  expected += RetainedFrame("t", "old", 1) + RetainedFrame("t", "new", 1);
  EXPECT_EQ(ReadBytes(frames.get(), expected.size()), expected);
}

}  // namespace
}  // namespace fifobus
