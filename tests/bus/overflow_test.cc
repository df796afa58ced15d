// Subscribers that are too slow, each with the overflow policy it asked for,
// over real FIFOs and beside one that keeps up.

#include <map>
#include <string>
#include <thread>

#include "gtest/gtest.h"
#include "proto/frame_writer.h"
#include "proto/version.h"
#include "tests/support/bus_support.h"
#include "tests/support/core_fakes.h"

namespace fifobus {
namespace {

constexpr int kMessages = 3000;
constexpr int kTopics = 3;

BrokerOptions ImpatientBroker() {
  BrokerOptions options;
  options.egress_queue_bytes_max = 65536;
  options.stall_timeout = absl::Milliseconds(20);
  return options;
}

std::string TopicOf(int message) {
  return "load/" + std::to_string(message % kTopics);
}

// A subscriber of load/* that reads when it is told to.
class SlowSubscriber {
 public:
  SlowSubscriber(const TestBus& bus, pb::Overflow overflow)
      : session_(bus.dir()) {
    pb::Frame hello;
    hello.mutable_hello()->set_protocol_version(kProtocolVersion);
    hello.mutable_hello()->set_overflow(overflow);
    session_.Greet(ControlFrame(hello));
    session_.Write(SubscribeFrame("load/*"));
    EXPECT_TRUE(session_.Next().has_subscribed());
  }

  // Reads until every message was received or announced, or the session ends.
  void ReadAll() {
    while (received + lost() < kMessages &&
           error == pb::Error::CODE_UNSPECIFIED) {
      const pb::Frame frame = session_.Next();
      if (frame.has_message()) {
        ++received;
        const int number = std::stoi(frame.message().payload());
        EXPECT_GT(number, last[frame.message().topic()]) << "out of order";
        last[frame.message().topic()] = number;
      } else if (frame.has_gap()) {
        losses[frame.gap().reason()] += frame.gap().messages();
      } else if (frame.has_error()) {
        error = frame.error().code();
      } else {
        ADD_FAILURE() << "ended after " << received << " and " << lost();
        return;
      }
    }
  }

  uint64_t lost() const {
    uint64_t sum = 0;
    for (const auto& [reason, messages] : losses) sum += messages;
    return sum;
  }
  bool AtEnd() { return session_.AtEnd(); }

  uint64_t received = 0;
  std::map<pb::Gap::Reason, uint64_t> losses;
  std::map<std::string, int> last;
  pb::Error::Code error = pb::Error::CODE_UNSPECIFIED;

 private:
  RawSession session_;
};

void PublishAll(Client& publisher) {
  for (int i = 1; i <= kMessages; ++i) {
    const std::string payload = std::to_string(i) + std::string(1000, ' ');
    ASSERT_EQ(publisher.Publish(TopicOf(i), payload), PublishOutcome::kSent);
  }
}

// All is published while the slow one does not read and another one does. On a
// busy machine that one may be too slow as well now and then.
void PublishPast(const TestBus& bus) {
  const auto healthy = bus.Subscribe("load/*");
  const auto publisher = bus.Connect();
  std::thread publishing([&] { PublishAll(*publisher); });
  uint64_t accounted = 0;
  while (accounted < kMessages) {
    const Received got = healthy->Receive(absl::Now() + kHang);
    if (got.outcome == ReceiveOutcome::kMessage) {
      ++accounted;
    } else if (got.outcome == ReceiveOutcome::kGap) {
      accounted += got.gap.messages;
    } else {
      ADD_FAILURE() << "after " << accounted << ": " << healthy->status();
      break;
    }
  }
  publishing.join();
}

// The newest message of each topic was among those received.
void ExpectNewestReceived(const SlowSubscriber& slow) {
  for (int i = kMessages - kTopics + 1; i <= kMessages; ++i) {
    EXPECT_EQ(slow.last.at(TopicOf(i)), i);
  }
}

TEST(Overflow, DropOldestLosesTheOldest) {
  const TestBus bus(ImpatientBroker());
  SlowSubscriber slow(bus, pb::OVERFLOW_UNSPECIFIED);
  PublishPast(bus);
  slow.ReadAll();
  EXPECT_GT(slow.losses[pb::Gap::REASON_OVERFLOW], 0u);
  EXPECT_EQ(slow.received + slow.lost(), static_cast<uint64_t>(kMessages));
  ExpectNewestReceived(slow);
}

TEST(Overflow, DropNewestLosesTheNewest) {
  const TestBus bus(ImpatientBroker());
  SlowSubscriber slow(bus, pb::OVERFLOW_DROP_NEWEST);
  PublishPast(bus);
  slow.ReadAll();
  EXPECT_GT(slow.losses[pb::Gap::REASON_OVERFLOW], 0u);
  EXPECT_EQ(slow.received + slow.lost(), static_cast<uint64_t>(kMessages));
  // It has what was first, without a hole.
  for (const auto& [topic, number] : slow.last) {
    EXPECT_LE(number, static_cast<int>(slow.received) + kTopics);
  }
}

TEST(Overflow, LatestHasTheNewestOfEachTopic) {
  const TestBus bus(ImpatientBroker());
  SlowSubscriber slow(bus, pb::OVERFLOW_LATEST);
  PublishPast(bus);
  slow.ReadAll();
  EXPECT_GT(slow.losses[pb::Gap::REASON_CONFLATED], 0u);
  EXPECT_EQ(slow.losses[pb::Gap::REASON_OVERFLOW], 0u);
  EXPECT_EQ(slow.received + slow.lost(), static_cast<uint64_t>(kMessages));
  ExpectNewestReceived(slow);
  EXPECT_EQ(bus.Count("messages_conflated"), slow.lost());
}

TEST(Overflow, DisconnectIsToldWhatItLostAndWhy) {
  BrokerOptions options = ImpatientBroker();
  // Time enough to read the reason.
  options.stall_timeout = absl::Milliseconds(500);
  const TestBus bus(options);
  SlowSubscriber slow(bus, pb::OVERFLOW_DISCONNECT);
  const auto publisher = bus.Connect();
  std::thread publishing([&] { PublishAll(*publisher); });
  // The publisher waits for it until it is given up.
  EXPECT_TRUE(WaitUntil([&] { return bus.Count("egress_stalls") == 1; }));
  slow.ReadAll();
  publishing.join();
  EXPECT_GT(slow.losses[pb::Gap::REASON_DISCONNECTED], 0u);
  EXPECT_EQ(slow.error, pb::Error::CODE_OVERFLOW);
  EXPECT_TRUE(slow.AtEnd());
  EXPECT_TRUE(WaitUntil([&] { return bus.Count("sessions_closed") >= 1; }));
}

TEST(Overflow, WhoNeverReadsIsDisconnectedAllTheSame) {
  const TestBus bus(ImpatientBroker());
  const SlowSubscriber slow(bus, pb::OVERFLOW_DISCONNECT);
  PublishPast(bus);
  const auto stats_client = bus.Connect();
  EXPECT_TRUE(WaitUntil([&] {
    const auto stats = stats_client->Stats(kHang);
    for (const auto& session : stats->sessions()) {
      if (session.client_name().empty()) return false;
    }
    return true;
  })) << "a session without a name is the slow one";
}

TEST(Overflow, BlockMakesThePublisherWaitAndLosesNothing) {
  const BrokerOptions options = ImpatientBroker();
  const TestBus bus(options);
  const auto publisher = bus.Connect();
  // Given up before the other comes: it holds up nobody, whoever else does.
  const SlowSubscriber given_up(bus, pb::OVERFLOW_DROP_OLDEST);
  PublishAll(*publisher);
  EXPECT_GE(bus.Count("egress_stalls"), 1u);
  SlowSubscriber slow(bus, pb::OVERFLOW_BLOCK);
  std::thread publishing([&] { PublishAll(*publisher); });
  const auto stall_millis = ToInt64Milliseconds(options.stall_timeout);
  EXPECT_TRUE(WaitUntil([&] {
    const pb::StatsReply stats = bus.broker().CollectStats();
    for (const auto& session : stats.sessions()) {
      const auto& queue = session.queue();
      if (queue.holds_up() == 1 && !queue.stalled() &&
          queue.stuck_millis() > 3 * static_cast<uint64_t>(stall_millis)) {
        return true;
      }
    }
    return false;
  })) << "the publisher waits longer than a stall takes";
  slow.ReadAll();
  publishing.join();
  EXPECT_EQ(slow.received, static_cast<uint64_t>(kMessages));
  EXPECT_EQ(slow.lost(), 0u);
  EXPECT_GT(bus.Count("messages_dropped"), 0u);
}

}  // namespace
}  // namespace fifobus
