// Clients that ask without receiving, that flood themselves, and that wait with
// something unwritten: none dies, loses or spins. Against a real broker.

#include <time.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include "absl/time/time.h"
#include "clients/cpp/client.h"
#include "gtest/gtest.h"
#include "proto/frame.pb.h"
#include "tests/support/bus_support.h"

namespace fifobus {
namespace {

MessageFields Fields(std::string_view topic, std::string_view payload) {
  MessageFields fields;
  fields.topic = topic;
  fields.payload = payload;
  return fields;
}

absl::Duration ThreadCpuTime() {
  timespec used = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return absl::DurationFromTimespec(used);
}

// Answers each request with `payload`, on a thread of its own.
class Responder {
 public:
  Responder(const TestBus& bus, std::string topic, std::string payload)
      : client_(bus.Subscribe(topic)),
        thread_([this, payload = std::move(payload)] {
          while (!done_) {
            const Received got = client_->Receive(absl::Milliseconds(10));
            if (got.outcome != ReceiveOutcome::kMessage) continue;
            EXPECT_EQ(client_->Reply(got, payload), PublishOutcome::kSent);
          }
        }) {}
  ~Responder() {
    done_ = true;
    thread_.join();
  }

 private:
  const std::unique_ptr<Client> client_;
  std::atomic<bool> done_{false};
  std::thread thread_;
};

// A client that may read ahead 64 KiB.
std::unique_ptr<Client> ConnectSmall(const TestBus& bus) {
  ClientOptions options;
  options.receive_bytes_max = 65536;
  return bus.Connect(options);
}

TEST(Asking, AnswersTakeNoRoomHoweverManyThereAre) {
  const TestBus bus;
  const auto client = ConnectSmall(bus);
  for (int i = 0; i < 10'000; ++i) {
    const absl::Status status = client->Ping(kHang);
    ASSERT_TRUE(status.ok()) << "after " << i << ": " << status;
  }
  for (int i = 0; i < 10'000; ++i) {
    const auto confirmation =
        client->PublishConfirmed(Fields("nobody", "x"), kHang);
    ASSERT_TRUE(confirmation.ok())
        << "after " << i << ": " << confirmation.status();
  }
  for (int i = 0; i < 1000; ++i) {
    const auto stats = client->Stats(kHang);
    ASSERT_TRUE(stats.ok()) << "after " << i << ": " << stats.status();
  }
}

TEST(Asking, RepliesTakeNoRoomHoweverLargeTheyAre) {
  const TestBus bus;
  const Responder responder(bus, "r", std::string(100'000, 'x'));
  const auto client = ConnectSmall(bus);
  for (int i = 0; i < 100; ++i) {
    const auto reply = client->Request("r", "?", kHang);
    ASSERT_TRUE(reply.ok()) << "after " << i << ": " << reply.status();
    ASSERT_EQ(reply->payload.size(), 100'000u);
  }
}

TEST(Asking, RepliesThatComeTooLateTakeNoRoom) {
  const TestBus bus;
  const auto responder = bus.Subscribe("r");
  const auto client = ConnectSmall(bus);
  const std::string payload(10'000, 'x');
  for (int i = 0; i < 100; ++i) {
    MessageFields request = Fields("r", "?");
    request.expiry_unix_nanos = uint64_t{1} << 62;
    const auto reply = client->Request(request, absl::ZeroDuration());
    ASSERT_FALSE(reply.ok());
    // Some were not sent in no time at all.
    const Received got = responder->Receive(absl::Milliseconds(1));
    if (got.outcome != ReceiveOutcome::kMessage) continue;
    ASSERT_EQ(responder->Reply(got, payload), PublishOutcome::kSent);
    ASSERT_TRUE(responder->Ping(kHang).ok());
  }
  EXPECT_TRUE(client->Ping(kHang).ok());
}

TEST(Asking, LeavesMessagesInTheirOrder) {
  const TestBus bus;
  const Responder responder(bus, "r", "reply");
  const auto client = bus.Subscribe("news");
  for (int i = 0; i < 100; ++i) {
    ASSERT_EQ(client->Publish("news", std::to_string(i)),
              PublishOutcome::kSent);
    ASSERT_TRUE(client->Ping(kHang).ok());
    ASSERT_TRUE(client->Request("r", "?", kHang).ok());
    ASSERT_TRUE(client->PublishConfirmed(Fields("nobody", "x"), kHang).ok());
  }
  const auto payloads = ReceivePayloads(*client, 100);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(payloads[i], std::to_string(i));
}

TEST(Asking, AnswersAreNotMissedByOneWhoReceivesItself) {
  const TestBus bus;
  const Responder responder(bus, "r", "reply");
  const auto client = bus.Subscribe("a");
  const std::string payload(20'000, 'x');
  for (int i = 0; i < 200; ++i) {
    const auto confirmation =
        client->PublishConfirmed(Fields("a", payload), kHang);
    ASSERT_TRUE(confirmation.ok())
        << "after " << i << ": " << confirmation.status();
    const auto reply = client->Request("r", payload, kHang);
    ASSERT_TRUE(reply.ok()) << "after " << i << ": " << reply.status();
    ASSERT_EQ(client->Request("nobody", payload, kHang).status().code(),
              absl::StatusCode::kNotFound);
  }
  EXPECT_EQ(ReceivePayloads(*client, 200).size(), 200u);
}

class Flood : public testing::TestWithParam<size_t> {};

// Four times what queue and pipes hold together.
TEST_P(Flood, OfItselfLosesNothing) {
  const TestBus bus;
  const auto client = bus.Subscribe("a");
  const std::string payload(GetParam(), 'x');
  const size_t count = (size_t{8} << 20) / payload.size();
  for (size_t i = 0; i < count; ++i) {
    ASSERT_EQ(client->Publish("a", payload), PublishOutcome::kSent);
  }
  for (size_t i = 0; i < count; ++i) {
    const Received got = client->Receive(kHang);
    ASSERT_EQ(got.outcome, ReceiveOutcome::kMessage)
        << "after " << i << " of " << count;
  }
}

TEST_P(Flood, OfItselfInABatchLosesNothing) {
  const TestBus bus;
  const auto client = bus.Subscribe("a");
  const std::string payload(GetParam(), 'x');
  const size_t count = (size_t{8} << 20) / payload.size();
  {
    const Batch batch(*client);
    for (size_t i = 0; i < count; ++i) {
      ASSERT_EQ(client->Publish("a", payload), PublishOutcome::kSent);
    }
  }
  for (size_t i = 0; i < count; ++i) {
    const Received got = client->Receive(kHang);
    ASSERT_EQ(got.outcome, ReceiveOutcome::kMessage)
        << "after " << i << " of " << count;
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, Flood, testing::Values(100, 5000, 200'000));

TEST(Batch, ReceivingInsideDoesNotSpin) {
  const TestBus bus;
  const auto client = bus.Subscribe("a");
  const Batch batch(*client);
  ASSERT_EQ(client->Publish("b", "stays"), PublishOutcome::kSent);
  const absl::Duration before = ThreadCpuTime();
  EXPECT_EQ(client->Receive(absl::Milliseconds(500)).outcome,
            ReceiveOutcome::kTimedOut);
  EXPECT_LT(ThreadCpuTime() - before, absl::Milliseconds(250));
}

TEST(Batch, ANewSessionInsideIsNotDeaf) {
  TestBus bus;
  const auto client = bus.Subscribe("a");
  client->set_mode(Mode::kNonBlocking);
  const Batch batch(*client);
  bus.Restart();
  const auto publisher = bus.Connect();
  EXPECT_TRUE(WaitUntil([&] {
    const Received got = client->Receive();
    if (got.outcome == ReceiveOutcome::kMessage) return true;
    (void)publisher->Publish("a", "x");
    return false;
  }));
}

TEST(OneCaller, ASecondThreadInsideACallIsTold) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        const TestBus bus;
        const auto client = bus.Subscribe("a");
        const Deadline hang = kHang;
        std::thread waiting([&] { (void)client->Receive(hang); });
        while (!hang.HasCome()) (void)client->Publish("b", "x");
        waiting.join();
      },
      "a second thread calls a client");
}

}  // namespace
}  // namespace fifobus
