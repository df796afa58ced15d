// What publishers take back from a broker that is killed, with the real binary
// and a log, which shows each message that any broker has taken.

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <charconv>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "clients/cpp/client.h"
#include "fmt/format.h"
#include "gtest/gtest.h"
#include "proto/frame.pb.h"
#include "tests/support/log_broker.h"

namespace fifobus {
namespace {

// How often the flood's broker is killed: $FIFOBUS_KILLS, or this.
int Kills() {
  const char* const wanted = std::getenv("FIFOBUS_KILLS");
  return wanted == nullptr ? 5 : std::atoi(wanted);
}

// What a publisher has done, message by message from 0.
struct Book {
  std::string topic;
  std::atomic<uint64_t> published = 0;
  std::vector<uint64_t> gaps;  // the messages that came back as kSentAfterGap
  uint64_t resent = 0;
  uint64_t lost = 0;
};

class TakeBackKillTest : public LogBrokerTest {
 protected:
  TakeBackKillTest() { Serve(); }

  // The broker reads nothing from now on.
  void Stop() const {
    broker_->Signal(SIGSTOP);
    ASSERT_TRUE(WaitUntil([&] {
      const std::string tasks = fmt::format("/proc/{}/task", broker_->pid());
      for (const auto& task : std::filesystem::directory_iterator(tasks)) {
        const std::string stat = ReadFile(task.path().string() + "/stat");
        // Behind the name, which is in parentheses.
        const size_t state = stat.rfind(')') + 2;
        if (state >= stat.size() || stat[state] != 'T') return false;
      }
      return true;
    }));
  }

  uint64_t Count(std::string_view counter) const {
    const auto stats = Connect()->Stats(kHang);
    EXPECT_TRUE(stats.ok()) << stats.status();
    for (const auto& entry : stats->counters()) {
      if (entry.name() == counter) return entry.value();
    }
    ADD_FAILURE() << counter;
    return 0;
  }

  // The payloads of all that the log has of a topic. REQUIRES: it is stored.
  std::vector<std::string> Stored(const std::string& topic) const {
    std::vector<std::string> payloads;
    const auto reader = Connect();
    SubscribeOptions options;
    options.start = Start::First();
    options.until_now = true;
    EXPECT_TRUE(reader->Subscribe(topic, options, kHang).ok());
    while (true) {
      const Received got = reader->Receive(absl::Now() + kHang);
      if (got.outcome == ReceiveOutcome::kMessage) {
        payloads.emplace_back(got.message.payload);
        continue;
      }
      EXPECT_EQ(got.outcome, ReceiveOutcome::kCaughtUp);
      return payloads;
    }
  }

  // Publishes until `stop`, with payloads of up to `bytes_max` bytes.
  void Flood(Book& book, size_t bytes_max, bool batches,
             const std::atomic<bool>& stop) const {
    const auto client = Connect();
    std::optional<Batch> batch;
    while (!stop) {
      const uint64_t number = book.published;
      if (batches && number % 100 == 0) batch.emplace(*client);
      std::string payload = fmt::format("{} ", number);
      payload.resize(payload.size() + number * 7919 % bytes_max, 'x');
      const PublishOutcome outcome =
          client->Publish(book.topic, payload, absl::Now() + kHang);
      ASSERT_TRUE(outcome == PublishOutcome::kSent ||
                  outcome == PublishOutcome::kSentAfterGap)
          << client->status();
      if (outcome == PublishOutcome::kSentAfterGap) {
        book.gaps.push_back(number);
      }
      book.published = number + 1;
    }
    batch.reset();
    const PublishOutcome outcome = client->Flush(absl::Now() + kHang);
    if (outcome == PublishOutcome::kSentAfterGap) {
      book.gaps.push_back(book.published);
    } else {
      EXPECT_EQ(outcome, PublishOutcome::kSent) << client->status();
    }
    EXPECT_TRUE(client->Flush(Level::kStored, kHang).ok());
    book.resent = client->resent_messages();
    book.lost = client->lost_messages();
  }

  // Each message is stored once and in order, or is one of those of which the
  // publisher was told that they may be lost: at most one run before each such
  // answer.
  void Check(const Book& book) const {
    uint64_t next = 0;
    uint64_t missing = 0;
    std::vector<uint64_t> runs;  // where they end
    for (const std::string& payload : Stored(book.topic)) {
      uint64_t number = 0;
      std::from_chars(payload.data(), payload.data() + payload.size(), number);
      ASSERT_GE(number, next) << "twice, or not in order";
      if (number > next) runs.push_back(number);
      missing += number - next;
      next = number + 1;
    }
    if (next < book.published) runs.push_back(book.published);
    missing += book.published - next;
    auto gap = book.gaps.begin();
    for (const uint64_t end : runs) {
      while (gap != book.gaps.end() && *gap < end) ++gap;
      ASSERT_NE(gap, book.gaps.end())
          << "nobody was told of those before " << end;
    }
    EXPECT_LE(book.lost, missing);
    RecordProperty(book.topic + "/published",
                   fmt::format("{}", book.published.load()));
    RecordProperty(book.topic + "/resent", fmt::format("{}", book.resent));
    RecordProperty(book.topic + "/missing", fmt::format("{}", missing));
    fmt::print("{}: published={} resent={} missing={} cut={} told={}\n",
               book.topic, book.published.load(), book.resent, missing,
               book.lost, book.gaps.size());
  }
};

TEST_F(TakeBackKillTest, EveryKindOfMessageThatWasUnreadIsPublishedOnce) {
  const auto publisher = Connect();
  const auto asking = Connect();
  asking->set_mode(Mode::kNonBlocking);
  Stop();
  EXPECT_EQ(publisher->Publish("orders/a", "1"), PublishOutcome::kSent);
  MessageFields fields;
  fields.topic = "orders/a";
  fields.payload = "expired";
  fields.expiry_unix_nanos = static_cast<uint64_t>(absl::GetCurrentTimeNanos());
  EXPECT_EQ(publisher->Publish(fields), PublishOutcome::kSent);
  fields.payload = "retained and confirmed";
  fields.expiry_unix_nanos = 0;
  fields.retain = true;
  fields.confirm_id = 5;
  fields.confirm_level = LevelInFrame(Level::kStored);
  EXPECT_EQ(publisher->Publish(fields), PublishOutcome::kSent);
  MessageFields question;
  question.topic = "service";
  question.payload = "question";
  const SentRequest request = asking->SendRequest(question, kHang);
  EXPECT_EQ(request.outcome, PublishOutcome::kSent);
  Kill();
  Serve();

  const auto responder = Connect();
  ASSERT_TRUE(responder->Subscribe("service", kHang).ok());
  EXPECT_EQ(publisher->Publish("orders/a", "newer"), PublishOutcome::kSent)
      << "nothing was read, so nothing is unknown";
  const Received confirmed = publisher->Receive(absl::Now() + kHang);
  ASSERT_EQ(confirmed.outcome, ReceiveOutcome::kConfirmation);
  EXPECT_EQ(confirmed.confirmation.confirm_id, 5u);
  EXPECT_EQ(confirmed.confirmation.level, Level::kStored);
  EXPECT_TRUE(confirmed.confirmation.retained);
  EXPECT_EQ(publisher->resent_messages(), 3u);

  asking->set_mode(Mode::kBlocking);
  // The first may still be of the session that is over.
  EXPECT_TRUE(WaitUntil([&] { return asking->Ping(kHang).ok(); }));
  const Received asked = responder->Receive(absl::Now() + kHang);
  ASSERT_EQ(asked.outcome, ReceiveOutcome::kMessage);
  EXPECT_EQ(responder->Reply(asked, "answer"), PublishOutcome::kSent);
  const Received reply = asking->Receive(absl::Now() + kHang);
  ASSERT_EQ(reply.outcome, ReceiveOutcome::kReply);
  EXPECT_EQ(reply.request_id, request.request_id);
  EXPECT_EQ(reply.message.payload, "answer");

  EXPECT_TRUE(publisher->Flush(Level::kStored, kHang).ok());
  EXPECT_EQ(Count("messages_resent"), 4u);
  EXPECT_EQ(Stored("orders/a"),
            (std::vector<std::string>{"1", "retained and confirmed", "newer"}));
}

TEST_F(TakeBackKillTest, AClientThatDiesAsWellTakesNothingBack) {
  std::array<int, 2> to_child = {};
  std::array<int, 2> from_child = {};
  ASSERT_EQ(pipe(to_child.data()), 0);
  ASSERT_EQ(pipe(from_child.data()), 0);
  char byte = 'x';
  const pid_t child = fork();
  if (child == 0) {
    const auto client = Connect();
    (void)!write(from_child[1], &byte, 1);
    (void)!read(to_child[0], &byte, 1);
    (void)client->Publish("orders/a", "unread");
    (void)!write(from_child[1], &byte, 1);
    pause();
    _exit(1);
  }
  EXPECT_EQ(read(from_child[0], &byte, 1), 1);
  Stop();
  EXPECT_EQ(write(to_child[1], &byte, 1), 1);
  EXPECT_EQ(read(from_child[0], &byte, 1), 1);
  kill(child, SIGKILL);
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  for (const int fd :
       {to_child[0], to_child[1], from_child[0], from_child[1]}) {
    close(fd);
  }
  Kill();
  Serve();
  MessageFields next;
  next.topic = "orders/a";
  next.payload = "next";
  EXPECT_TRUE(Connect()->PublishConfirmed(next, Level::kStored, kHang).ok());
  EXPECT_EQ(Stored("orders/a"), std::vector<std::string>{"next"});
  EXPECT_EQ(Count("messages_resent"), 0u);
}

TEST_F(TakeBackKillTest, AFloodIsStoredOnceAndInOrderOverKills) {
  std::atomic<bool> stop = false;
  std::array<Book, 4> books;
  std::vector<std::thread> publishing;
  const auto flood = [&](Book& book, const char* topic, size_t bytes_max,
                         bool batches) {
    book.topic = topic;
    publishing.emplace_back([this, &book, bytes_max, batches, &stop] {
      Flood(book, bytes_max, batches, stop);
    });
  };
  flood(books[0], "orders/small", 50, false);
  flood(books[1], "orders/batch", 500, true);
  flood(books[2], "orders/medium", 12'000, false);
  flood(books[3], "orders/large", 200'000, false);
  for (int kill = 0; kill < Kills(); ++kill) {
    std::vector<uint64_t> wanted;
    for (const Book& book : books) wanted.push_back(book.published + 50);
    ASSERT_TRUE(WaitUntil([&] {
      for (size_t i = 0; i < books.size(); ++i) {
        if (books[i].published < wanted[i]) return false;
      }
      return true;
    }));
    Kill();
    Serve();
  }
  stop = true;
  for (std::thread& thread : publishing) thread.join();
  uint64_t resent = 0;
  for (const Book& book : books) {
    Check(book);
    resent += book.resent;
  }
  EXPECT_GT(resent, 0u) << "a flood leaves something in the pipes";
}

}  // namespace
}  // namespace fifobus
