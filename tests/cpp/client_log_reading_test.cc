// Reading logs through a real broker: from each start, until now, durably, and
// over the end of a broker.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "clients/cpp/client.h"
#include "gtest/gtest.h"
#include "tests/support/log_bus.h"

namespace fifobus {
namespace {

using Offsets = std::vector<uint64_t>;

class ClientLogReadingTest : public LogBusTest {
 protected:
  static SubscribeOptions From(Start start) {
    SubscribeOptions options;
    options.start = start;
    return options;
  }
  static SubscribeOptions Durable(const std::string& name) {
    SubscribeOptions options;
    options.durable = name;
    return options;
  }

  std::unique_ptr<Client> Reader(const SubscribeOptions& options,
                                 const std::string& pattern = "orders/**") {
    auto client = bus_->Connect();
    const absl::Status status = client->Subscribe(pattern, options, kHang);
    EXPECT_TRUE(status.ok()) << status;
    return client;
  }

  // The offsets up to kCaughtUp. Each message is the number of its offset.
  static Offsets UntilCaughtUp(Client& client) {
    Offsets offsets;
    while (true) {
      const Received got = client.Receive(kHang);
      if (got.outcome != ReceiveOutcome::kMessage) {
        EXPECT_EQ(got.outcome, ReceiveOutcome::kCaughtUp) << client.status();
        return offsets;
      }
      EXPECT_EQ(got.message.payload, std::to_string(got.delivery.offset));
      offsets.push_back(got.delivery.offset);
    }
  }

  Offsets ReadUntilNow(Start start) {
    SubscribeOptions options = From(start);
    options.until_now = true;
    return UntilCaughtUp(*Reader(options));
  }

  static uint64_t NextOffset(Client& client) {
    Received got;
    do {
      got = client.Receive(kHang);
    } while (got.outcome == ReceiveOutcome::kCaughtUp);
    EXPECT_EQ(got.outcome, ReceiveOutcome::kMessage) << client.status();
    return got.delivery.offset;
  }
};

TEST_F(ClientLogReadingTest, EachStartBeginsWhereItSays) {
  StoreNumbers(1, 3);
  const absl::Time between = absl::Now();
  StoreNumbers(4, 5);
  EXPECT_EQ(ReadUntilNow(Start::First()), (Offsets{1, 2, 3, 4, 5}));
  EXPECT_EQ(ReadUntilNow(Start::Offset(4)), (Offsets{4, 5}));
  EXPECT_EQ(ReadUntilNow(Start::Last(3)), (Offsets{3, 4, 5}));
  EXPECT_EQ(ReadUntilNow(Start::Time(between)), (Offsets{4, 5}));
  EXPECT_EQ(ReadUntilNow(Start::Next()), Offsets{});
}

TEST_F(ClientLogReadingTest, WhatIsStoredLaterFollowsWithoutASeam) {
  StoreNumbers(1, 500);
  const auto client = Reader(From(Start::First()));
  ASSERT_TRUE(client->read_position("orders/**").has_value());
  EXPECT_EQ(client->read_position("orders/**")->log, "orders");
  EXPECT_EQ(client->read_position("orders/**")->next_offset, 1U);
  StoreNumbers(501, 1000);
  for (uint64_t offset = 1; offset <= 1000; ++offset) {
    ASSERT_EQ(NextOffset(*client), offset);
  }
  EXPECT_EQ(client->read_position("orders/**")->next_offset, 1001U);
}

TEST_F(ClientLogReadingTest, WhatCannotBeReadIsTold) {
  StoreNumbers(1, 2);
  const auto client = bus_->Connect();
  const absl::Status no_log =
      client->Subscribe("elsewhere", From(Start::First()), kHang);
  EXPECT_TRUE(absl::IsFailedPrecondition(no_log)) << no_log;
  const absl::Status beyond =
      client->Subscribe("orders/**", From(Start::Offset(99)), kHang);
  EXPECT_TRUE(absl::IsOutOfRange(beyond)) << beyond;
  (void)Reader(Durable("d"), "orders/new");
  const absl::Status other =
      client->Subscribe("orders/old", Durable("d"), kHang);
  EXPECT_TRUE(absl::IsFailedPrecondition(other)) << other;
}

TEST_F(ClientLogReadingTest, AReaderGoesOnOverTheEndOfABroker) {
  constexpr uint64_t kMessages = 3000;
  StoreNumbers(1, kMessages);
  const auto client = Reader(From(Start::First()));
  for (uint64_t offset = 1; offset <= kMessages; ++offset) {
    if (offset % 1000 == 500) bus_->Restart();
    ASSERT_EQ(NextOffset(*client), offset) << "no hole and nothing twice";
  }
  StoreNumbers(kMessages + 1, kMessages + 1);
  EXPECT_EQ(NextOffset(*client), kMessages + 1);
}

TEST_F(ClientLogReadingTest, ADurableReaderGoesOnWhereItWasDone) {
  StoreNumbers(1, 5);
  {
    const auto client = Reader(Durable("d"));
    for (uint64_t offset = 1; offset <= 3; ++offset) {
      ASSERT_EQ(NextOffset(*client), offset);
    }
    // 3 was received, and nobody has said that it is done.
  }
  bus_->Restart();
  {
    const auto client = Reader(Durable("d"));
    ASSERT_EQ(NextOffset(*client), 3U);
    Received got = client->Receive(kHang);
    ASSERT_EQ(got.delivery.offset, 4U);
    client->Done(got);
  }
  EXPECT_EQ(NextOffset(*Reader(Durable("d"))), 5U);
}

// What is left of the first subscription comes before the second, and is not
// taken for its messages.
TEST_F(ClientLogReadingTest, ASecondSubscribeBeginsWhereTheFirstWasDone) {
  StoreNumbers(1, 5);
  const auto client = Reader(Durable("d"));
  for (uint64_t offset = 1; offset <= 3; ++offset) {
    ASSERT_EQ(NextOffset(*client), offset);
  }
  ASSERT_TRUE(client->Unsubscribe("orders/**", kHang).ok());
  ASSERT_TRUE(client->Subscribe("orders/**", Durable("d"), kHang).ok());
  EXPECT_EQ(client->read_position("orders/**")->next_offset, 3U);
  Received got;
  do {
    got = client->Receive(kHang);
    ASSERT_NE(got.outcome, ReceiveOutcome::kTimedOut);
  } while (got.subscription == 0 || got.outcome != ReceiveOutcome::kMessage);
  EXPECT_EQ(got.delivery.offset, 3U);
}

TEST_F(ClientLogReadingTest, ADurableReaderMissesNothingWhenBrokersEnd) {
  constexpr uint64_t kMessages = 3000;
  StoreNumbers(1, kMessages);
  const auto client = Reader(Durable("d"));
  uint64_t received = 0;
  int restarts = 0;
  while (received < kMessages) {
    const uint64_t offset = NextOffset(*client);
    ASSERT_LE(offset, received + 1) << "there is a hole";
    received = std::max(received, offset);
    if (received == 1000 * static_cast<uint64_t>(restarts) + 500) {
      ++restarts;
      bus_->Restart();
    }
  }
  EXPECT_EQ(restarts, 3);
}

TEST_F(ClientLogReadingTest, ARestartThatLosesNothingIsCounted) {
  const auto client = Reader(Durable("d"));
  bus_->Restart();
  EXPECT_EQ(client->restarts(), 0U);
  StoreNumbers(1, 1);
  EXPECT_EQ(NextOffset(*client), 1U);
  EXPECT_EQ(client->restarts(), 1U);
}

TEST_F(ClientLogReadingTest, ARestartThatMayLoseSomethingIsAGapInstead) {
  const auto client = Reader(Durable("d"));
  ASSERT_TRUE(client->Subscribe("unlogged", {}, kHang).ok());
  bus_->Restart();
  Received got = client->Receive(kHang);
  while (got.outcome == ReceiveOutcome::kCaughtUp) got = client->Receive(kHang);
  ASSERT_EQ(got.outcome, ReceiveOutcome::kGap);
  EXPECT_EQ(got.gap.reason, GapReason::kReconnected);
  EXPECT_EQ(client->restarts(), 0U);
}

TEST_F(ClientLogReadingTest, TheMembersOfAGroupShareADurableReader) {
  StoreNumbers(1, 3);
  SubscribeOptions options = Durable("d");
  options.group = "g";
  options.acks.emplace();
  {
    const auto client = Reader(options);
    const Received got = client->Receive(kHang);
    ASSERT_EQ(got.outcome, ReceiveOutcome::kMessage);
    EXPECT_EQ(got.delivery.offset, 1U);
    EXPECT_NE(got.delivery.ack_id, 0U);
    EXPECT_EQ(got.delivery.delivery_count, 1U);
    client->Extend(got.delivery.ack_id);
    client->Done(got);
    ASSERT_EQ(NextOffset(*client), 2U);  // and leaves without an answer
  }
  bus_->Restart();
  EXPECT_EQ(NextOffset(*Reader(options)), 2U);
}

TEST_F(ClientLogReadingTest, ALaterSessionOfADurableReaderTakesItOver) {
  StoreNumbers(1, 2);
  const auto first = Reader(Durable("d"));
  ASSERT_EQ(NextOffset(*first), 1U);
  const auto second = Reader(Durable("d"));
  ASSERT_EQ(NextOffset(*second), 1U);
  Received got;
  do {
    got = first->Receive(kHang);
  } while (got.outcome == ReceiveOutcome::kMessage ||
           got.outcome == ReceiveOutcome::kCaughtUp);
  EXPECT_EQ(got.outcome, ReceiveOutcome::kDisconnected);
  EXPECT_TRUE(absl::IsAborted(first->status())) << first->status();
}

TEST_F(ClientLogReadingTest, APlainSubscriptionBesideGetsMessagesLive) {
  auto client = Reader(From(Start::First()));
  ASSERT_TRUE(client->Subscribe("orders/new", kHang).ok());
  StoreNumbers(1, 1);
  int read = 0;
  int live = 0;
  while (read + live < 2) {
    const Received got = client->Receive(kHang);
    if (got.outcome == ReceiveOutcome::kCaughtUp) continue;
    ASSERT_EQ(got.outcome, ReceiveOutcome::kMessage);
    (got.delivery.offset == 0 ? live : read) += 1;
    EXPECT_EQ(got.subscription == 0, got.delivery.offset == 0);
  }
  EXPECT_EQ(read, 1);
  EXPECT_EQ(live, 1);
}

}  // namespace
}  // namespace fifobus
