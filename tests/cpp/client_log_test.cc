// Publishing to logs through a real broker: what is confirmed, what is stored
// once, and who may publish under a name.

#include <cstdint>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "clients/cpp/client.h"
#include "gtest/gtest.h"
#include "tests/support/log_bus.h"

namespace fifobus {
namespace {

constexpr uint32_t kStored = LevelInFrame(Level::kStored);

class ClientLogTest : public LogBusTest {
 protected:
  std::unique_ptr<Client> Publisher(const std::string& name,
                                    size_t resend_bytes_max = 0) const {
    ClientOptions options;
    options.publisher = name;
    options.resend_bytes_max = resend_bytes_max;
    return bus_->Connect(options);
  }

  static absl::StatusOr<Confirmation> Store(Client& client,
                                            const std::string& topic,
                                            uint64_t sequence = 0) {
    MessageFields message;
    message.topic = topic;
    message.payload = "x";
    message.sequence = sequence;
    return client.PublishConfirmed(message, Level::kStored, kHang);
  }

  // How many messages the log has.
  uint64_t StoredCount(Client& client) const {
    const auto next = Store(client, "orders/last");
    EXPECT_TRUE(next.ok()) << next.status();
    return next.ok() ? next->offset - 1 : 0;
  }
};

TEST_F(ClientLogTest, AStoredMessageHasAnOffset) {
  const auto client = bus_->Connect();
  for (uint64_t offset = 1; offset <= 3; ++offset) {
    const auto stored = Store(*client, "orders/new");
    ASSERT_TRUE(stored.ok()) << stored.status();
    EXPECT_EQ(stored->level, Level::kStored);
    EXPECT_EQ(stored->offset, offset);
    EXPECT_FALSE(stored->duplicate);
  }
  EXPECT_EQ(client->Publish("orders/new", "y"), PublishOutcome::kSent);
  const auto reached = client->Flush(Level::kStored, kHang);
  ASSERT_TRUE(reached.ok()) << reached.status();
  EXPECT_EQ(*reached, Level::kStored);
}

TEST_F(ClientLogTest, ATopicWithoutALogIsTold) {
  const auto client = bus_->Connect();
  const absl::Status status = Store(*client, "elsewhere").status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_NE(status.message().find("no log stores its topic"),
            absl::string_view::npos)
      << status;
  MessageFields message;
  message.topic = "elsewhere";
  const auto accepted = client->PublishConfirmed(message, kHang);
  EXPECT_TRUE(accepted.ok()) << accepted.status();
}

TEST_F(ClientLogTest, ALaterClientGoesOnBehindTheMarks) {
  {
    const auto first = Publisher("till");
    EXPECT_EQ(first->last_sequence(), 0U);
    for (int i = 0; i < 3; ++i) {
      ASSERT_TRUE(Store(*first, "orders/new").ok());
    }
    EXPECT_EQ(first->last_sequence(), 3U);
  }
  bus_->Restart();
  const auto second = Publisher("till");
  ASSERT_EQ(second->publisher_marks().size(), 1U);
  EXPECT_EQ(second->publisher_marks()[0].log, "orders");
  EXPECT_EQ(second->publisher_marks()[0].last_sequence, 3U);
  EXPECT_EQ(second->publisher_marks()[0].last_offset, 3U);
  const auto repeated = Store(*second, "orders/new", /*sequence=*/3);
  ASSERT_TRUE(repeated.ok()) << repeated.status();
  EXPECT_TRUE(repeated->duplicate);
  EXPECT_EQ(repeated->offset, 3U);
  const auto next = Store(*second, "orders/new");
  ASSERT_TRUE(next.ok()) << next.status();
  EXPECT_FALSE(next->duplicate);
  EXPECT_EQ(next->offset, 4U);
  EXPECT_EQ(second->last_sequence(), 4U);
}

TEST_F(ClientLogTest, ALaterClientOfTheNameEndsTheEarlier) {
  const auto first = Publisher("till");
  ASSERT_TRUE(Store(*first, "orders/new").ok());
  const auto second = Publisher("till");
  ASSERT_TRUE(Store(*second, "orders/new").ok());
  const absl::Status fenced = Store(*first, "orders/new").status();
  EXPECT_TRUE(absl::IsAborted(fenced)) << fenced;
  EXPECT_EQ(first->Receive(kHang).outcome, ReceiveOutcome::kDisconnected);
  EXPECT_EQ(StoredCount(*second), 2U);
}

// Whatever the broker had taken and not confirmed when it ended.
TEST_F(ClientLogTest, MessagesOfALostSessionAreStoredOnce) {
  constexpr uint64_t kMessages = 6000;
  const auto client = Publisher("till", size_t{1} << 20);
  uint64_t confirmed = 0;
  const auto take = [&](const Received& got) {
    if (got.outcome != ReceiveOutcome::kConfirmation) return;
    EXPECT_EQ(got.confirmation.confirm_id, ++confirmed);
    EXPECT_EQ(got.confirmation.level, Level::kStored);
  };
  for (uint64_t id = 1; id <= kMessages; ++id) {
    MessageFields message;
    message.topic = "orders/new";
    message.payload = "a payload";
    message.confirm_id = id;
    message.confirm_level = kStored;
    ASSERT_EQ(client->Publish(message, kHang), PublishOutcome::kSent)
        << client->status();
    if (id % 2000 == 0) bus_->Restart();
    if (id % 7 == 0) take(client->Receive(absl::ZeroDuration()));
  }
  const Deadline deadline = kHang;
  while (confirmed < kMessages && !deadline.HasCome()) {
    take(client->Receive(deadline));
  }
  EXPECT_EQ(confirmed, kMessages);
  EXPECT_EQ(StoredCount(*client), kMessages);
}

}  // namespace
}  // namespace fifobus
