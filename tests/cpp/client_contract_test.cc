// What the client library adds to publishing and receiving: confirmation,
// retained values, bounds, wills. Against a real broker.

#include <memory>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "clients/cpp/client.h"
#include "gtest/gtest.h"
#include "proto/version.h"
#include "tests/support/bus_support.h"

namespace fifobus {
namespace {

MessageFields Fields(std::string_view topic, std::string_view payload) {
  MessageFields fields;
  fields.topic = topic;
  fields.payload = payload;
  return fields;
}

MessageFields Retained(std::string_view topic, std::string_view payload) {
  MessageFields fields = Fields(topic, payload);
  fields.retain = true;
  return fields;
}

Received Next(Client& client) { return client.Receive(kHang); }

SubscribeOptions InGroup(std::string group) {
  SubscribeOptions options;
  options.group = std::move(group);
  return options;
}

TEST(Retained, ComesFirstAndMarkedAndMayBeSkipped) {
  const TestBus bus;
  const auto client = bus.Connect();
  ASSERT_TRUE(client->PublishConfirmed(Retained("a", "old"), kHang).ok());
  SubscribeOptions skip;
  skip.skip_retained = true;
  ASSERT_TRUE(client->Subscribe("a", skip, kHang).ok());
  const auto late = bus.Subscribe("a");
  ASSERT_EQ(client->Publish("a", "new"), PublishOutcome::kSent);
  Received got = Next(*late);
  EXPECT_EQ(got.message.payload, "old");
  EXPECT_TRUE(got.delivery.retained);
  got = Next(*late);
  EXPECT_EQ(got.message.payload, "new");
  EXPECT_FALSE(got.delivery.retained) << "the mark is of one message";
  EXPECT_EQ(Next(*client).message.payload, "new");
}

TEST(Retained, TheMarkStaysWithAMessageThatComesInPieces) {
  const TestBus bus;
  const auto client = bus.Connect();
  // Larger than pipe and read buffer, so that the Delivery comes long before
  // its message is whole; two, so that one begins behind the other.
  const std::string large(700'000, 'x');
  ASSERT_TRUE(client->PublishConfirmed(Retained("a/1", large), kHang).ok());
  ASSERT_TRUE(client->PublishConfirmed(Retained("a/2", large), kHang).ok());
  const auto late = bus.Subscribe("a/*");
  ASSERT_TRUE(late->Ping(kHang).ok());
  for (int i = 0; i < 2; ++i) {
    const Received got = Next(*late);
    ASSERT_EQ(got.outcome, ReceiveOutcome::kMessage);
    EXPECT_TRUE(got.delivery.retained);
    EXPECT_EQ(got.message.payload, large);
  }
}

TEST(Retained, TheMarkOutlivesTheSessionItCameIn) {
  TestBus bus;
  const auto publisher = bus.Connect();
  ASSERT_TRUE(publisher->PublishConfirmed(Retained("a", "x"), kHang).ok());
  const auto client = bus.Subscribe("a");
  ASSERT_TRUE(client->Ping(kHang).ok());  // has read the value by now
  bus.Stop();
  const Received got = Next(*client);
  ASSERT_EQ(got.outcome, ReceiveOutcome::kMessage);
  EXPECT_TRUE(got.delivery.retained);
  const Received gap = Next(*client);
  EXPECT_EQ(gap.outcome, ReceiveOutcome::kGap);
  EXPECT_EQ(gap.gap.reason, GapReason::kReconnected);
}

TEST(Confirmation, NamesWhoTakesTheMessage) {
  const TestBus bus;
  const auto client = bus.Connect();
  auto confirmation = client->PublishConfirmed(Fields("a", "x"), kHang);
  ASSERT_TRUE(confirmation.ok()) << confirmation.status();
  EXPECT_EQ(confirmation->level, Level::kAccepted);
  EXPECT_EQ(confirmation->sessions, 0u);
  const auto one = bus.Subscribe("a");
  const auto two = bus.Subscribe("*");
  confirmation = client->PublishConfirmed(Retained("a", "x"), kHang);
  ASSERT_TRUE(confirmation.ok()) << confirmation.status();
  EXPECT_EQ(confirmation->sessions, 2u);
  EXPECT_EQ(confirmation->taps, 0u);
  EXPECT_TRUE(confirmation->retained);
}

TEST(Confirmation, ManyMayBeInFlight) {
  const TestBus bus;
  const auto client = bus.Connect();
  for (uint64_t id = 1; id <= 1000; ++id) {
    MessageFields fields = Fields("a", "x");
    fields.confirm_id = id;
    ASSERT_EQ(client->Publish(fields), PublishOutcome::kSent);
    // An answer to somebody else in between changes nothing.
    if (id == 500) {
      ASSERT_TRUE(client->Ping(kHang).ok());
    }
  }
  for (uint64_t id = 1; id <= 1000; ++id) {
    const Received got = Next(*client);
    ASSERT_EQ(got.outcome, ReceiveOutcome::kConfirmation);
    ASSERT_EQ(got.confirmation.confirm_id, id);
    ASSERT_EQ(got.confirmation.level, Level::kAccepted);
  }
  MessageFields own = Fields("a", "x");
  own.confirm_id = uint64_t{1} << 63;
  EXPECT_EQ(client->Publish(own), PublishOutcome::kRefused);
}

TEST(Confirmation, OfWhatABatchHeldComesInTheNextSession) {
  TestBus bus;
  const auto client = bus.Connect();
  const Batch batch(*client);  // keeps the message from the broker
  MessageFields fields = Fields("a", "x");
  fields.confirm_id = 7;
  ASSERT_EQ(client->Publish(fields), PublishOutcome::kSent);
  // Either it goes out when the Goodbye is read, or when there is a session.
  bus.Restart();
  const Received got = client->Receive(absl::Now() + kHang);
  EXPECT_EQ(got.outcome, ReceiveOutcome::kConfirmation);
  EXPECT_EQ(got.confirmation.confirm_id, 7u);
  EXPECT_EQ(got.confirmation.level, Level::kAccepted);
  EXPECT_EQ(client->Receive(absl::Now() + absl::Milliseconds(20)).outcome,
            ReceiveOutcome::kTimedOut)
      << "once";
}

TEST(Flush, IsABarrierForWhatWasPublished) {
  TestBus bus;
  const auto subscriber = bus.Subscribe("a");
  subscriber->set_mode(Mode::kNonBlocking);
  const auto client = bus.Connect();
  const Batch batch(*client);
  ASSERT_EQ(client->Publish("a", "x"), PublishOutcome::kSent);
  const auto level = client->Flush(Level::kAccepted, kHang);
  ASSERT_TRUE(level.ok()) << level.status();
  EXPECT_EQ(*level, Level::kAccepted);
  EXPECT_EQ(subscriber->Receive().outcome, ReceiveOutcome::kMessage)
      << "it is in the pipe when Flush returns";
}

TEST(Flush, DoesNotVouchForALostSession) {
  TestBus bus;
  ClientOptions options;
  options.client_name = "loser";
  const auto client = bus.Connect(options);
  bus.Stop();
  // Into a pipe that nobody reads any more, or into no session.
  (void)client->Publish("a", "x", absl::Now() + absl::Milliseconds(10));
  const auto before = client->Flush(Level::kAccepted, absl::Milliseconds(10));
  EXPECT_FALSE(before.ok());
  bus.Restart();
  (void)client->Flush(Level::kAccepted, kHang);
  const auto after = client->Flush(Level::kAccepted, kHang);
  EXPECT_TRUE(after.ok()) << "told once: " << after.status();
}

TEST(Connection, BrokersReleaseIsKnown) {
  const TestBus bus;
  EXPECT_EQ(bus.Connect()->broker_version(), kVersion);
}

TEST(Overflow, BoundsInForceAreKnown) {
  const TestBus bus;
  ClientOptions options;
  options.queue_bytes_max = 5000;
  options.queue_messages_max = 7;
  const auto client = bus.Connect(options);
  EXPECT_EQ(client->bounds().queue_bytes_max, 5000u);
  EXPECT_EQ(client->bounds().queue_messages_max, 7u);
}

TEST(Overflow, DisconnectAccountsForAllAndEndsTheClientForGood) {
  BrokerOptions broker_options;
  // Time enough to read the reason.
  broker_options.stall_timeout = absl::Seconds(2);
  const TestBus bus(broker_options);
  ClientOptions options;
  options.overflow = Overflow::kDisconnect;
  options.queue_bytes_max = 10'000;
  const auto slow = bus.Connect(options);
  ASSERT_TRUE(slow->Subscribe("a", kHang).ok());
  const auto publisher = bus.Connect();
  const std::string payload(1000, 'x');
  // Waits until the slow one is given up; what is published then until it reads
  // is announced too.
  constexpr uint64_t kTaken = 600;
  for (uint64_t i = 0; i < kTaken; ++i) {
    const auto confirmation =
        publisher->PublishConfirmed(Fields("a", payload), kHang);
    ASSERT_TRUE(confirmation.ok()) << confirmation.status();
    ASSERT_EQ(confirmation->sessions, 1u);
  }
  uint64_t received = 0;
  uint64_t announced = 0;
  Received got = Next(*slow);
  for (; got.outcome != ReceiveOutcome::kDisconnected; got = Next(*slow)) {
    if (got.outcome == ReceiveOutcome::kMessage) {
      ++received;
      continue;
    }
    ASSERT_EQ(got.outcome, ReceiveOutcome::kGap);
    EXPECT_EQ(got.gap.reason, GapReason::kDisconnected);
    announced += got.gap.messages;
  }
  EXPECT_EQ(received + announced, kTaken);
  EXPECT_GT(announced, 0u);
  EXPECT_EQ(slow->status().code(), absl::StatusCode::kResourceExhausted)
      << slow->status();
  EXPECT_EQ(slow->Publish("b", "x"), PublishOutcome::kDisconnected)
      << "no silent reconnection";
}

TEST(Overflow, DisconnectIsNoticedByOneWhoOnlyPublishes) {
  BrokerOptions broker_options;
  broker_options.stall_timeout = absl::Milliseconds(20);
  const TestBus bus(broker_options);
  ClientOptions options;
  options.overflow = Overflow::kDisconnect;
  options.queue_bytes_max = 10'000;
  const auto slow = bus.Connect(options);
  ASSERT_TRUE(slow->Subscribe("a", kHang).ok());
  const auto publisher = bus.Connect();
  const std::string payload(1000, 'x');
  while (publisher->PublishConfirmed(Fields("a", payload), kHang)->sessions >
         0) {
  }
  EXPECT_TRUE(WaitUntil([&] {
    return slow->Publish("b", "x", absl::Now() + absl::Milliseconds(10)) ==
           PublishOutcome::kDisconnected;
  }));
  EXPECT_EQ(slow->status().code(), absl::StatusCode::kResourceExhausted)
      << slow->status();
}

TEST(CountSubscribers, CountsSessionsAndGroups) {
  const TestBus bus;
  const auto client = bus.Connect();
  EXPECT_EQ(*client->CountSubscribers("never/seen", kHang), 0u);
  const auto one = bus.Subscribe("a/*");
  const auto two = bus.Connect();
  ASSERT_TRUE(two->Subscribe("a/b", InGroup("g"), kHang).ok());
  const auto count = client->CountSubscribers("a/b", kHang);
  ASSERT_TRUE(count.ok()) << count.status();
  EXPECT_EQ(*count, 2u);
  EXPECT_EQ(client->CountSubscribers("a/*", kHang).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(Will, MustBePublishable) {
  ClientOptions options;
  options.will.emplace();
  options.will->topic = "$sys/x";
  EXPECT_EQ(Client::Start(options).status().code(),
            absl::StatusCode::kInvalidArgument);
  options.will->topic = "x";
  options.will->payload = std::string(40'000, 'x');
  EXPECT_EQ(Client::Start(options).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(Will, IsNotPublishedForOneWhoSaysGoodbye) {
  const TestBus bus;
  const auto watcher = bus.Subscribe("**");
  ClientOptions options;
  options.will.emplace();
  options.will->topic = "died";
  {
    const auto client = bus.Connect(options);
    const Batch batch(*client);
    ASSERT_EQ(client->Publish("a", "unwritten"), PublishOutcome::kSent);
  }
  EXPECT_EQ(ReceivePayloads(*watcher, 1),
            std::vector<std::string>{"unwritten"});
  // Its session is over when the broker counts it no more.
  ASSERT_TRUE(WaitUntil(
      [&] { return bus.broker().CollectStats().sessions_size() == 1; }));
  ASSERT_EQ(bus.Connect()->Publish("last", "last"), PublishOutcome::kSent);
  EXPECT_EQ(ReceivePayloads(*watcher, 1), std::vector<std::string>{"last"});
}

TEST(Metadata, ThatTheBrokerWouldRefuseCostsNoSession) {
  const TestBus bus;
  const auto client = bus.Connect();
  const HeaderView bad = {"k\n", "v"};
  MessageFields fields = Fields("a", "x");
  fields.headers = {&bad, 1};
  EXPECT_EQ(client->Publish(fields), PublishOutcome::kRefused);
  fields.headers = {};
  fields.reply_topic = "a//b";
  EXPECT_EQ(client->Publish(fields), PublishOutcome::kRefused);
  fields.reply_topic = "";
  fields.content_type = "\x01";
  EXPECT_EQ(client->Publish(fields), PublishOutcome::kRefused);
  EXPECT_TRUE(client->Ping(kHang).ok());
}

TEST(Metadata, AnExpiredMessageIsAnnouncedAndNotDelivered) {
  const TestBus bus;
  const auto subscriber = bus.Subscribe("a");
  const auto client = bus.Connect();
  MessageFields fields = Fields("a", "stale");
  fields.expiry_unix_nanos = 1;
  ASSERT_EQ(client->Publish(fields), PublishOutcome::kSent);
  ASSERT_EQ(client->Publish("a", "fresh"), PublishOutcome::kSent);
  const Received gap = Next(*subscriber);
  ASSERT_EQ(gap.outcome, ReceiveOutcome::kGap);
  EXPECT_EQ(gap.gap.reason, GapReason::kExpired);
  EXPECT_EQ(gap.gap.messages, 1u);
  ASSERT_EQ(gap.gap.losses.size(), 1u);
  EXPECT_EQ(gap.gap.losses[0].topic, "a");
  EXPECT_EQ(Next(*subscriber).message.payload, "fresh");
}

TEST(Receive, ViewsStayValidWhateverIsReadMeanwhile) {
  const TestBus bus;
  const auto client = bus.Subscribe("a");
  const std::string first(1000, '1');
  ASSERT_EQ(client->Publish("a", first), PublishOutcome::kSent);
  const Received got = Next(*client);
  // Far more than a buffer, read ahead by calls that are not Receive.
  const std::string more(100'000, '2');
  for (int i = 0; i < 20; ++i) {
    ASSERT_EQ(client->Publish("a", more), PublishOutcome::kSent);
    ASSERT_TRUE(client->Ping(kHang).ok());
  }
  EXPECT_EQ(got.message.payload, first);
  ASSERT_EQ(client->Publish("b", got.message.payload), PublishOutcome::kSent);
  EXPECT_EQ(ReceivePayloads(*client, 20).back(), more);
}

}  // namespace
}  // namespace fifobus
