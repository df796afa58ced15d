// Requests and replies through the client library, against a real broker.

#include <poll.h>

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "clients/cpp/client.h"
#include "gtest/gtest.h"
#include "tests/support/bus_support.h"

namespace fifobus {
namespace {

MessageFields Fields(std::string_view topic, std::string_view payload) {
  MessageFields fields;
  fields.topic = topic;
  fields.payload = payload;
  return fields;
}

Received Next(Client& client) { return client.Receive(absl::Now() + kHang); }

// Answers requests on a thread of its own until it is destroyed.
class Responder {
 public:
  Responder(const TestBus& bus, std::string topic)
      : client_(bus.Subscribe(topic)), thread_([this] {
          while (!done_) {
            const Received got =
                client_->Receive(absl::Now() + absl::Milliseconds(10));
            if (got.outcome != ReceiveOutcome::kMessage) continue;
            if (got.message.payload == "silence") continue;
            EXPECT_EQ(client_->Reply(got, got.message.payload),
                      PublishOutcome::kSent);
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

TEST(Request, ReturnsTheReplyAndLeavesMessagesToReceive) {
  const TestBus bus;
  const Responder responder(bus, "echo");
  const auto client = bus.Subscribe("news");
  ASSERT_EQ(client->Publish("news", "before"), PublishOutcome::kSent);
  const auto reply = client->Request("echo", "hello", kHang);
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(reply->payload, "hello");
  ASSERT_EQ(client->Publish("news", "behind"), PublishOutcome::kSent);
  EXPECT_EQ(ReceivePayloads(*client, 2),
            (std::vector<std::string>{"before", "behind"}));
}

TEST(Request, WithoutRespondersFailsAtOnce) {
  const TestBus bus;
  const auto client = bus.Connect();
  const auto reply = client->Request("nobody", "x", absl::InfiniteDuration());
  EXPECT_EQ(reply.status().code(), absl::StatusCode::kNotFound)
      << reply.status();
  MessageFields fields = Fields("nobody", "x");
  const auto sent = client->SendRequest(fields, absl::InfiniteDuration());
  const Received got = Next(*client);
  ASSERT_EQ(got.outcome, ReceiveOutcome::kReply);
  EXPECT_EQ(got.request_id, sent.request_id);
  EXPECT_EQ(got.reply_outcome, ReplyOutcome::kNoResponders);
}

TEST(Request, ObeysItsDeadlineAndPassesOverALateReply) {
  const TestBus bus;
  const auto responder = bus.Subscribe("slow");
  const auto client = bus.Connect();
  const auto reply = client->Request("slow", "x", absl::Milliseconds(20));
  EXPECT_EQ(reply.status().code(), absl::StatusCode::kDeadlineExceeded)
      << reply.status();
  // Expired requests are not delivered, so the late reply is made by hand.
  MessageFields patient = Fields("slow", "y");
  patient.expiry_unix_nanos =
      static_cast<uint64_t>(absl::ToUnixNanos(absl::Now() + kHang));
  const auto sent = client->SendRequest(patient, absl::Milliseconds(20));
  ASSERT_NE(sent.request_id, 0u);
  client->set_mode(Mode::kNonBlocking);
  Received got = client->Receive();
  pollfd readable = {client->fd(), POLLIN, 0};
  while (got.outcome == ReceiveOutcome::kWouldBlock) {
    ASSERT_EQ(
        poll(&readable, 1, static_cast<int>(kHang / absl::Milliseconds(1))), 1)
        << "fd() wakes for the deadline";
    got = client->Receive();
  }
  ASSERT_EQ(got.outcome, ReceiveOutcome::kReply);
  EXPECT_EQ(got.reply_outcome, ReplyOutcome::kTimedOut);
  client->set_mode(Mode::kBlocking);
  Received request = Next(*responder);
  while (request.outcome == ReceiveOutcome::kGap) request = Next(*responder);
  if (request.message.payload == "x") request = Next(*responder);
  ASSERT_EQ(request.message.payload, "y");
  ASSERT_EQ(responder->Reply(request, "late"), PublishOutcome::kSent);
  ASSERT_TRUE(responder->Ping(kHang).ok());
  ASSERT_TRUE(client->Ping(kHang).ok());
  EXPECT_EQ(client->Receive(absl::Now() + absl::Milliseconds(20)).outcome,
            ReceiveOutcome::kTimedOut);
}

TEST(Request, ManyInFlightAreToldApartWhateverTheOrder) {
  const TestBus bus;
  const auto responder = bus.Subscribe("r");
  const auto client = bus.Connect();
  std::map<uint64_t, std::string> expected;
  for (int i = 0; i < 100; ++i) {
    const std::string payload = std::to_string(i);
    const auto sent = client->SendRequest(Fields("r", payload), kHang);
    ASSERT_EQ(sent.outcome, PublishOutcome::kSent);
    expected[sent.request_id] = payload;
  }
  std::vector<OwnedMessage> requests;
  for (int i = 0; i < 100; ++i) {
    requests.emplace_back(Next(*responder).message);
  }
  for (auto at = requests.rbegin(); at != requests.rend(); ++at) {
    ASSERT_EQ(responder->Publish(at->reply_topic, at->payload),
              PublishOutcome::kSent);
  }
  for (int i = 0; i < 100; ++i) {
    const Received got = Next(*client);
    ASSERT_EQ(got.outcome, ReceiveOutcome::kReply);
    ASSERT_EQ(got.reply_outcome, ReplyOutcome::kAnswered);
    EXPECT_EQ(got.message.payload, expected[got.request_id]);
    expected.erase(got.request_id);
  }
  EXPECT_TRUE(expected.empty());
}

TEST(Request, OfALostSessionIsNotKnown) {
  TestBus bus;
  const auto responder = bus.Subscribe("r");
  const auto client = bus.Connect();
  const auto sent = client->SendRequest(Fields("r", "x"), kHang);
  ASSERT_EQ(Next(*responder).outcome, ReceiveOutcome::kMessage);
  bus.Restart();
  const Received got = Next(*client);
  ASSERT_EQ(got.outcome, ReceiveOutcome::kReply) << "and no gap: no patterns";
  EXPECT_EQ(got.request_id, sent.request_id);
  EXPECT_EQ(got.reply_outcome, ReplyOutcome::kUnknown);
  // The inbox is there again.
  const Responder next(bus, "s");
  const auto reply = client->Request("s", "again", kHang);
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(reply->payload, "again");
}

TEST(Reply, IsRefusedForWhatIsNoRequest) {
  const TestBus bus;
  const auto client = bus.Subscribe("a");
  ASSERT_EQ(client->Publish("a", "x"), PublishOutcome::kSent);
  const Received got = Next(*client);
  EXPECT_EQ(client->Reply(got, "y"), PublishOutcome::kRefused);
  EXPECT_NE(client->status().message().find("no reply topic"),
            absl::string_view::npos);
}

}  // namespace
}  // namespace fifobus
