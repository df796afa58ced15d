#include "clients/cpp/client.h"

#include <poll.h>
#include <signal.h>
#include <sys/stat.h>

#include <filesystem>
#include <memory>
#include <string>
#include <thread>

#include "absl/time/clock.h"
#include "clients/cpp/bus_locator.h"
#include "gtest/gtest.h"
#include "tests/support/bus_support.h"

namespace fifobus {
namespace {

bool IsReadable(const Client& client) {
  pollfd readable = {client.fd(), POLLIN, 0};
  return poll(&readable, 1, 0) == 1;
}

bool WaitReadable(const Client& client) {
  pollfd readable = {client.fd(), POLLIN, 0};
  return poll(&readable, 1, static_cast<int>(kHang / absl::Milliseconds(1))) ==
         1;
}

ClientOptions InMode(Mode mode) {
  ClientOptions options;
  options.mode = mode;
  return options;
}

TEST(Connect, NamesThePlacesItTriedAndWhatToDo) {
  const TempDir dir;
  ClientOptions options;
  options.dir = dir.path() + "/missing";
  options.connect_timeout = absl::Milliseconds(20);
  const auto client = Client::Connect(options);
  ASSERT_FALSE(client.ok());
  const std::string text(client.status().message());
  EXPECT_NE(text.find(options.dir), std::string::npos) << text;
  EXPECT_NE(text.find("fifobus serve"), std::string::npos) << text;
}

TEST(Connect, WaitsForABrokerThatStartsLater) {
  const TempDir dir;
  ClientOptions options;
  options.dir = dir.path() + "/bus";
  options.connect_timeout = kHang;
  std::unique_ptr<Broker> broker;
  std::thread connecting([&] {
    const auto client = Client::Connect(options);
    EXPECT_TRUE(client.ok()) << client.status();
  });
  BrokerOptions broker_options;
  broker_options.dir = options.dir;
  broker = *Broker::Start(broker_options);
  connecting.join();
}

TEST(Connect, RefusesASymbolicLink) {
  const TestBus bus;
  const TempDir other;
  const std::string link = other.path() + "/link";
  ASSERT_EQ(symlink(bus.dir().c_str(), link.c_str()), 0);
  const absl::Status status = CheckBus(link);
  EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied) << status;
  EXPECT_TRUE(CheckBus(bus.dir()).ok());
}

TEST(Connect, RefusesAStrangersDirectory) {
  const TempDir dir;
  if (chown(dir.path().c_str(), 12345, 12345) != 0) {
    GTEST_SKIP() << "only root can make one";
  }
  EXPECT_EQ(CheckBus(dir.path()).code(), absl::StatusCode::kPermissionDenied);
}

TEST(Connect, ADeadBrokersDirectoryIsNotABus) {
  TestBus bus;
  bus.Stop();
  EXPECT_EQ(CheckBus(bus.dir()).code(), absl::StatusCode::kUnavailable);
}

TEST(Publish, RefusesWhatTheBusWouldRefuse) {
  const TestBus bus;
  const auto client = bus.Connect();
  EXPECT_EQ(client->Publish("a//b", "x"), PublishOutcome::kRefused);
  EXPECT_NE(client->status().message().find("empty level"),
            absl::string_view::npos);
  EXPECT_EQ(client->Publish("$sys/a", "x"), PublishOutcome::kRefused);
  const std::string large((16 << 20) + 1, 'x');
  EXPECT_EQ(client->Publish("a", large), PublishOutcome::kRefused);
  EXPECT_NE(client->status().message().find("16777216"),
            absl::string_view::npos)
      << client->status();
  // The session is as good as before.
  EXPECT_EQ(client->Publish("a", "x"), PublishOutcome::kSent);
  EXPECT_TRUE(client->Ping(kHang).ok());
}

TEST(Publish, NonBlockingTakesAMessageWholeOrNotAtAll) {
  BrokerOptions options;
  options.egress_queue_bytes_max = 65536;
  options.stall_timeout = kHang;
  const TestBus bus(options);
  const auto slow = bus.Subscribe("a");
  const auto client = bus.Connect(InMode(Mode::kNonBlocking));
  const std::string payload(50'000, 'x');
  size_t sent = 0;
  // Fill everything; a message is cut short by the pipe on the way.
  for (int refusals = 0; refusals < 100;) {
    const PublishOutcome outcome = client->Publish("a", payload);
    if (outcome == PublishOutcome::kSent) {
      ++sent;
    } else {
      ASSERT_EQ(outcome, PublishOutcome::kWouldBlock);
      ++refusals;
      absl::SleepFor(absl::Milliseconds(1));
    }
  }
  std::thread flushing([&] {
    while (client->Flush() != PublishOutcome::kSent) {
      ASSERT_TRUE(WaitReadable(*client));
    }
  });
  const auto payloads = ReceivePayloads(*slow, sent);
  flushing.join();
  ASSERT_EQ(payloads.size(), sent);
  for (const std::string& received : payloads) EXPECT_EQ(received, payload);
}

TEST(Publish, BlockingObeysItsDeadline) {
  BrokerOptions options;
  options.egress_queue_bytes_max = 65536;
  options.stall_timeout = kHang;
  const TestBus bus(options);
  const auto slow = bus.Subscribe("a");
  const auto client = bus.Connect();
  const std::string payload(10'000, 'x');
  PublishOutcome outcome = PublishOutcome::kSent;
  size_t sent = 0;
  while (outcome == PublishOutcome::kSent) {
    outcome = client->Publish("a", payload, absl::Milliseconds(100));
    if (outcome == PublishOutcome::kSent) ++sent;
  }
  EXPECT_EQ(outcome, PublishOutcome::kTimedOut);
  // What it took arrives, what it did not take does not.
  std::thread flushing([&] {
    EXPECT_EQ(client->Flush(kHang), PublishOutcome::kSent);
    EXPECT_EQ(client->Publish("a", "last"), PublishOutcome::kSent);
  });
  const auto payloads = ReceivePayloads(*slow, sent + 1);
  flushing.join();
  ASSERT_EQ(payloads.size(), sent + 1);
  EXPECT_EQ(payloads.back(), "last");
}

TEST(Batch, DefersUntilItsEnd) {
  const TestBus bus;
  const auto subscriber = bus.Subscribe("a");
  subscriber->set_mode(Mode::kNonBlocking);
  const auto client = bus.Connect();
  {
    const Batch batch(*client);
    for (int i = 0; i < 100; ++i) {
      ASSERT_EQ(client->Publish("a", std::to_string(i)), PublishOutcome::kSent);
    }
    ASSERT_TRUE(bus.Connect()->Ping(kHang).ok());
    EXPECT_EQ(subscriber->Receive().outcome, ReceiveOutcome::kWouldBlock);
  }
  subscriber->set_mode(Mode::kBlocking);
  EXPECT_EQ(ReceivePayloads(*subscriber, 100).back(), "99");
}

TEST(Batch, GoesOutBySizeToo) {
  const TestBus bus;
  const auto subscriber = bus.Subscribe("a");
  const auto client = bus.Connect();
  const Batch batch(*client);
  const std::string payload(1000, 'x');
  for (int i = 0; i < 200; ++i) {
    ASSERT_EQ(client->Publish("a", payload), PublishOutcome::kSent);
  }
  EXPECT_EQ(ReceivePayloads(*subscriber, 100).size(), 100u);
}

TEST(Batch, ALargeMessageTakesThoseBeforeItAlong) {
  const TestBus bus;
  const auto receiving = bus.Subscribe("t");
  const auto sending = bus.Connect();
  const std::string large(100000, 'x');
  const Batch batch(*sending);
  EXPECT_EQ(sending->Publish("t", "first"), PublishOutcome::kSent);
  EXPECT_EQ(sending->Publish("t", large), PublishOutcome::kSent);
  EXPECT_EQ(ReceivePayloads(*receiving, 2),
            (std::vector<std::string>{"first", large}));
}

TEST(Receive, NonBlockingReturnsAtOnce) {
  const TestBus bus;
  const auto client = bus.Subscribe("a");
  client->set_mode(Mode::kNonBlocking);
  EXPECT_EQ(client->Receive().outcome, ReceiveOutcome::kWouldBlock);
  ASSERT_EQ(client->Publish("a", "x"), PublishOutcome::kSent);
  ASSERT_TRUE(WaitReadable(*client));
  ASSERT_TRUE(WaitUntil(
      [&] { return client->Receive().outcome == ReceiveOutcome::kMessage; }));
}

TEST(Receive, BlockingAndBusyPollObeyTheirDeadline) {
  const TestBus bus;
  const auto client = bus.Subscribe("a");
  for (const Mode mode : {Mode::kBlocking, Mode::kBusyPoll}) {
    client->set_mode(mode);
    EXPECT_EQ(client->Receive(absl::Milliseconds(20)).outcome,
              ReceiveOutcome::kTimedOut);
    ASSERT_EQ(client->Publish("a", "x"), PublishOutcome::kSent);
    EXPECT_EQ(client->Receive(kHang).outcome, ReceiveOutcome::kMessage);
  }
}

TEST(Receive, WaitsForEverWithoutForgettingHowNotTo) {
  const TestBus bus;
  const auto receiving = bus.Subscribe("t");
  const auto sending = bus.Connect();
  for (int i = 0; i < 100; ++i) {
    std::thread later([&] {
      EXPECT_EQ(sending->Publish("t", std::to_string(i)),
                PublishOutcome::kSent);
    });
    const Received got = receiving->Receive();
    EXPECT_EQ(got.message.payload, std::to_string(i));
    later.join();
    EXPECT_EQ(receiving->Receive(Deadline::Now()).outcome,
              ReceiveOutcome::kTimedOut);
    receiving->set_mode(Mode::kNonBlocking);
    EXPECT_EQ(receiving->Receive().outcome, ReceiveOutcome::kWouldBlock);
    EXPECT_TRUE(receiving->Ping().ok());
    receiving->set_mode(Mode::kBlocking);
  }
}

TEST(Receive, ADeadlineInThePastStillTakesWhatIsThere) {
  const TestBus bus;
  const auto client = bus.Subscribe("t");
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(client->Publish("t", "x"), PublishOutcome::kSent);
    EXPECT_TRUE(WaitUntil([&] {
      return client->Receive(absl::InfinitePast()).outcome ==
             ReceiveOutcome::kMessage;
    }));
    EXPECT_EQ(client->Receive(absl::InfinitePast()).outcome,
              ReceiveOutcome::kTimedOut);
  }
}

TEST(Receive, WaitingForEverEndsWithTheBroker) {
  TestBus bus;
  ClientOptions options;
  options.reconnect = false;
  const auto client = bus.Connect(options);
  ASSERT_TRUE(client->Subscribe("t").ok());
  std::thread stopping([&] { bus.Stop(); });
  // Told of the loss first, then for ever of the end.
  Received got = client->Receive();
  if (got.outcome == ReceiveOutcome::kGap) got = client->Receive();
  EXPECT_EQ(got.outcome, ReceiveOutcome::kDisconnected);
  stopping.join();
}

TEST(Receive, ABrokerThatIsGoneIsNoReasonToMissADeadline) {
  TestBus bus;
  const auto client = bus.Subscribe("t");
  EXPECT_EQ(client->Publish("t", "x"), PublishOutcome::kSent);
  EXPECT_EQ(client->Receive().outcome, ReceiveOutcome::kMessage);
  std::thread stopping([&] { bus.Stop(); });
  Received got;
  do {
    got = client->Receive(absl::Milliseconds(20));
  } while (client->status().ok());
  stopping.join();
  for (int i = 0; i < 3; ++i) {
    got = client->Receive(absl::Milliseconds(20));
  }
  EXPECT_EQ(got.outcome, ReceiveOutcome::kTimedOut);
}

TEST(Receive, KeepsAllMetadata) {
  const TestBus bus;
  const auto client = bus.Subscribe("a");
  const HeaderView header = {"k", "v"};
  MessageFields fields;
  fields.topic = "a";
  fields.payload = "p";
  fields.sequence = 7;
  fields.reply_topic = "r";
  fields.headers = {&header, 1};
  ASSERT_EQ(client->Publish(fields), PublishOutcome::kSent);
  const Received got = client->Receive(kHang);
  ASSERT_EQ(got.outcome, ReceiveOutcome::kMessage);
  EXPECT_EQ(got.message.sequence, 7u);
  EXPECT_EQ(got.message.reply_topic, "r");
  EXPECT_EQ(HeaderReader(got.message).Next()->value, "v");
}

TEST(Fd, IsQuietWhenThereIsNothingToDo) {
  const TestBus bus;
  const auto client = bus.Subscribe("a");
  client->set_mode(Mode::kNonBlocking);
  EXPECT_EQ(client->Receive().outcome, ReceiveOutcome::kWouldBlock);
  EXPECT_FALSE(IsReadable(*client));
}

TEST(Fd, ShowsMessagesThatAnotherCallReadAhead) {
  const TestBus bus;
  const auto client = bus.Subscribe("a");
  const auto publisher = bus.Connect();
  ASSERT_EQ(publisher->Publish("a", "x"), PublishOutcome::kSent);
  ASSERT_TRUE(publisher->Ping(kHang).ok());
  ASSERT_TRUE(client->Ping(kHang).ok());  // reads past the message
  EXPECT_TRUE(IsReadable(*client));
  client->set_mode(Mode::kNonBlocking);
  EXPECT_EQ(client->Receive().outcome, ReceiveOutcome::kMessage);
  EXPECT_EQ(client->Receive().outcome, ReceiveOutcome::kWouldBlock);
  EXPECT_FALSE(IsReadable(*client));
}

TEST(Fd, StaysTheSameAndServesReconnection) {
  TestBus bus;
  const auto client = bus.Subscribe("a");
  client->set_mode(Mode::kNonBlocking);
  const int fd = client->fd();
  bus.Stop();
  bool gap = false;
  bus.Restart();
  const auto publisher = bus.Connect();
  // Only fd() says when to call.
  bool message = false;
  while (!message) {
    (void)publisher->Publish("a", "x");
    ASSERT_TRUE(WaitReadable(*client));
    while (true) {
      const Received got = client->Receive();
      gap |= got.outcome == ReceiveOutcome::kGap;
      message |= got.outcome == ReceiveOutcome::kMessage;
      if (got.outcome == ReceiveOutcome::kWouldBlock) break;
    }
  }
  EXPECT_TRUE(gap);
  EXPECT_EQ(client->fd(), fd);
}

TEST(Reconnect, SubscribesAnewAndTellsOfTheGap) {
  TestBus bus;
  const auto subscriber = bus.Subscribe("a");
  const auto publisher = bus.Connect();
  ASSERT_EQ(publisher->Publish("a", "before"), PublishOutcome::kSent);
  EXPECT_EQ(ReceivePayloads(*subscriber, 1),
            std::vector<std::string>{"before"});
  bus.Restart();
  const Received gap = subscriber->Receive(kHang);
  ASSERT_EQ(gap.outcome, ReceiveOutcome::kGap);
  EXPECT_EQ(gap.gap.reason, GapReason::kReconnected);
  ASSERT_TRUE(subscriber->Ping(kHang).ok());
  // All that was published had been read when the broker said Goodbye.
  EXPECT_EQ(publisher->Publish("a", "after"), PublishOutcome::kSent);
  EXPECT_EQ(publisher->Publish("a", "more"), PublishOutcome::kSent);
  EXPECT_EQ(ReceivePayloads(*subscriber, 2),
            (std::vector<std::string>{"after", "more"}));
}

TEST(Reconnect, MayBeTurnedOff) {
  TestBus bus;
  ClientOptions options;
  options.reconnect = false;
  const auto client = bus.Connect(options);
  ASSERT_TRUE(client->Subscribe("a", kHang).ok());
  bus.Stop();
  EXPECT_EQ(client->Receive(kHang).outcome, ReceiveOutcome::kGap);
  EXPECT_EQ(client->Receive(kHang).outcome, ReceiveOutcome::kDisconnected);
  EXPECT_EQ(client->Publish("a", "x"), PublishOutcome::kDisconnected);
}

TEST(Reconnect, WhatWasReadBeforeTheBrokersEndIsStillReceived) {
  TestBus bus;
  const auto client = bus.Subscribe("a");
  const auto publisher = bus.Connect();
  for (int i = 0; i < 10; ++i) {
    ASSERT_EQ(publisher->Publish("a", "x"), PublishOutcome::kSent);
  }
  ASSERT_TRUE(publisher->Ping(kHang).ok());
  ASSERT_TRUE(client->Ping(kHang).ok());
  bus.Restart();
  // The first try may be what notices the end.
  ASSERT_TRUE(WaitUntil([&] { return client->Ping(kHang).ok(); }));
  std::vector<std::string> expected(10, "x");
  expected.push_back("(gap)");
  EXPECT_EQ(ReceivePayloads(*client, 11), expected);
}

TEST(Subscribe, RefusesABadPatternWithoutTheBroker) {
  const TestBus bus;
  const auto client = bus.Connect();
  EXPECT_EQ(client->Subscribe("a/**/b").code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(client->Unsubscribe("never").code(), absl::StatusCode::kNotFound);
}

TEST(Subscribe, KeepsMessagesThatComeBeforeItsAnswer) {
  const TestBus bus;
  const auto client = bus.Subscribe("a");
  const auto publisher = bus.Connect();
  for (int i = 0; i < 100; ++i) {
    ASSERT_EQ(publisher->Publish("a", std::to_string(i)),
              PublishOutcome::kSent);
  }
  ASSERT_TRUE(publisher->Ping(kHang).ok());
  ASSERT_TRUE(client->Subscribe("b", kHang).ok());
  EXPECT_EQ(ReceivePayloads(*client, 100).back(), "99");
}

TEST(Process, NoSignalIsRaisedAndNoDescriptorLeaks) {
  TestBus bus;
  // The default action of SIGPIPE would end this process.
  struct sigaction before;
  ASSERT_EQ(sigaction(SIGPIPE, nullptr, &before), 0);
  EXPECT_EQ(before.sa_handler, SIG_DFL);
  const auto client = bus.Connect();
  const size_t descriptors = OpenDescriptors();
  for (int i = 0; i < 3; ++i) {
    bus.Restart();
    ASSERT_EQ(client->Publish("a", "x"), PublishOutcome::kSent);
    ASSERT_TRUE(WaitUntil([&] { return client->Ping(kHang).ok(); }));
  }
  struct sigaction after;
  ASSERT_EQ(sigaction(SIGPIPE, nullptr, &after), 0);
  EXPECT_EQ(after.sa_handler, SIG_DFL);
  EXPECT_TRUE(WaitUntil([&] { return OpenDescriptors() == descriptors; }))
      << descriptors << " then " << OpenDescriptors();
}

}  // namespace
}  // namespace fifobus
