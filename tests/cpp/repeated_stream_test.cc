// Streams in which many messages repeat the one before but for their payload,
// which both sides of the client take shortcuts for, among others that do not.
// Each arrives as it was sent.

#include <array>
#include <deque>
#include <random>
#include <string>
#include <string_view>
#include <thread>

#include "absl/time/clock.h"
#include "clients/cpp/client.h"
#include "gtest/gtest.h"
#include "proto/frame_writer.h"
#include "tests/support/bus_support.h"

namespace fifobus {
namespace {

constexpr int kMessages = 20000;

// Owns what its fields view.
struct Sent {
  std::string topic;
  std::string payload;
  MessageFields fields;
  bool is_plain = true;  // nothing but a topic and a payload
};

const HeaderView kHeader = {"name", "value"};

void AddField(int which, MessageFields& fields) {
  switch (which) {
    case 0:
      fields.sequence = 7;
      break;
    case 1:
      fields.publish_time_unix_nanos = 7;
      break;
    case 2:
      fields.reply_topic = "answers";
      break;
    case 3:
      fields.content_type = "text/plain";
      break;
    case 4:
      fields.headers = absl::MakeConstSpan(&kHeader, 1);
      break;
    default:
      fields.expiry_unix_nanos = uint64_t{1} << 62;
      break;
  }
}

// Runs of repeated messages are some ten long.
std::deque<Sent> MakeStream(uint64_t seed) {
  constexpr std::array<std::string_view, 4> kTopics = {"a/b", "a/c", "a/bb",
                                                       "a/d/e"};
  constexpr std::array<size_t, 6> kSizes = {0, 1, 64, 127, 128, 500};
  std::mt19937_64 random(seed);
  std::string_view topic = kTopics[0];
  size_t size = kSizes[0];
  std::deque<Sent> stream;
  for (int i = 0; i < kMessages; ++i) {
    if (random() % 10 == 0) topic = kTopics[random() % kTopics.size()];
    if (random() % 10 == 0) size = kSizes[random() % kSizes.size()];
    Sent& sent = stream.emplace_back();
    sent.topic = topic;
    sent.payload.resize(size);
    for (char& byte : sent.payload) byte = static_cast<char>(random());
    sent.fields.topic = sent.topic;
    sent.fields.payload = sent.payload;
    if (random() % 10 == 0) {
      sent.is_plain = false;
      AddField(static_cast<int>(random() % 6), sent.fields);
    }
  }
  return stream;
}

void PublishAll(Client& client, const std::deque<Sent>& stream, uint64_t seed) {
  std::mt19937_64 random(seed);
  const Batch batch(client);
  for (const Sent& sent : stream) {
    if (random() % 50 == 0) {
      ASSERT_EQ(client.Publish("no/*/topic", "x"), PublishOutcome::kRefused);
      ASSERT_FALSE(client.status().ok());
    }
    if (random() % 50 == 0) {
      ASSERT_EQ(client.Flush(), PublishOutcome::kSent);
    }
    const PublishOutcome outcome =
        sent.is_plain ? client.Publish(sent.topic, sent.payload)
                      : client.Publish(sent.fields);
    ASSERT_EQ(outcome, PublishOutcome::kSent);
    ASSERT_TRUE(client.status().ok()) << client.status();
  }
}

void Check(const Received& got, const Sent& sent) {
  ASSERT_EQ(got.outcome, ReceiveOutcome::kMessage);
  ASSERT_EQ(got.message.fault, FrameFault::kNone);
  ASSERT_EQ(got.message.topic, sent.topic);
  ASSERT_EQ(got.message.payload, sent.payload);
  ASSERT_EQ(got.message.sequence, sent.fields.sequence);
  ASSERT_EQ(got.message.reply_topic, sent.fields.reply_topic);
  std::string frame;
  AppendMessageFrame(sent.fields, frame);
  ASSERT_EQ(got.frame, frame);
}

TEST(RepeatedStream, ArrivesAsItWasSent) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE(seed);
  const TestBus bus;
  const auto subscriber = bus.Subscribe("a/**");
  const auto publisher = bus.Connect();
  const std::deque<Sent> stream = MakeStream(seed);
  std::thread publishing([&] { PublishAll(*publisher, stream, seed); });
  for (const Sent& sent : stream) {
    Check(subscriber->Receive(kHang), sent);
    if (testing::Test::HasFatalFailure()) break;
  }
  publishing.join();
}

}  // namespace
}  // namespace fifobus
