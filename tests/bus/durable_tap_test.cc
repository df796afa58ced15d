// Durable taps: a FIFO that goes on where its readers have stopped.

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>

#include "absl/time/clock.h"
#include "fmt/format.h"
#include "gtest/gtest.h"
#include "tests/support/bus_support.h"

namespace fifobus {
namespace {

BrokerOptions WithLogs(const std::string& state_dir) {
  BrokerOptions options;
  options.state_dir = state_dir;
  options.logs.resize(1);
  options.logs[0].name = "orders";
  options.logs[0].pattern = "orders/**";
  return options;
}

class DurableTapTest : public testing::Test {
 protected:
  DurableTapTest() {
    std::filesystem::create_directories(Path("orders/new.out"));
  }

  std::string Path(const std::string& name) const {
    return bus_.dir() + "/topics/" + name;
  }
  void Make(const std::string& name = "me.durable") {
    MakeFifo(Path("orders/new.out/" + name));
  }

  void Publish(const std::string& payload, uint64_t expiry_unix_nanos = 0,
               const std::string& topic = "orders/new") {
    if (!client_) client_ = bus_.Connect();
    MessageFields fields;
    fields.topic = topic;
    fields.payload = payload;
    fields.expiry_unix_nanos = expiry_unix_nanos;
    ASSERT_EQ(client_->Publish(fields), PublishOutcome::kSent);
    ++published_;
    ASSERT_TRUE(
        WaitUntil([&] { return Log().committed_offset() >= published_; }));
  }
  pb::StatsReply::Log Log() const {
    return bus_.broker().CollectStats().logs(0);
  }
  uint64_t Position(const std::string& name = "me") const {
    const pb::StatsReply::Log log = Log();
    for (const pb::StatsReply::Reader& reader : log.readers()) {
      if (reader.name() == name) return reader.position();
    }
    return 0;
  }
  void AwaitPosition(uint64_t position) const {
    ASSERT_TRUE(WaitUntil([&] { return Position() == position; }))
        << Position();
  }

  UniqueFd OpenToRead(const std::string& name = "me.durable") const {
    UniqueFd fd(open(Path("orders/new.out/" + name).c_str(), O_RDONLY));
    EXPECT_TRUE(fd.valid());
    return fd;
  }
  void Restart() {
    client_.reset();
    bus_.Restart();
  }

  const TempDir state_;
  TestBus bus_{WithLogs(state_.path())};
  std::unique_ptr<Client> client_;
  uint64_t published_ = 0;
};

TEST_F(DurableTapTest, BeginsWithTheFirstMessageOfTheLog) {
  Publish("one");
  Publish("other", 0, "orders/old");
  Publish("two");
  Make();
  const UniqueFd me = OpenToRead();
  EXPECT_EQ(ReadBytes(me.get(), 8), "one\ntwo\n");
  AwaitPosition(4);
  Publish("three");
  EXPECT_EQ(ReadBytes(me.get(), 6), "three\n");
  AwaitPosition(5);
  EXPECT_TRUE(Log().readers(0).tap());
}

TEST_F(DurableTapTest, TheNextReaderGoesOnWhereTheLastOneStopped) {
  Make();
  for (const char* payload : {"one", "two", "three"}) Publish(payload);
  {
    const UniqueFd me = OpenToRead();
    EXPECT_EQ(ReadBytes(me.get(), 8), "one\ntwo\n");
  }
  AwaitPosition(3);
  Publish("four");
  EXPECT_EQ(ReadBytes(OpenToRead().get(), 11), "three\nfour\n");
  AwaitPosition(5);
}

TEST_F(DurableTapTest, ALineThatWasReadInPartComesAgain) {
  Make();
  for (const char* payload : {"one", "two", "three"}) Publish(payload);
  {
    const UniqueFd me = OpenToRead();
    EXPECT_EQ(ReadBytes(me.get(), 10), "one\ntwo\nth");
  }
  AwaitPosition(3);
  EXPECT_EQ(ReadBytes(OpenToRead().get(), 6), "three\n");
}

TEST_F(DurableTapTest, TheNextBrokerGoesOnToo) {
  Make();
  for (const char* payload : {"one", "two", "three"}) Publish(payload);
  {
    const UniqueFd me = OpenToRead();
    EXPECT_EQ(ReadBytes(me.get(), 4), "one\n");
  }
  Restart();
  EXPECT_EQ(Position(), 2u);
  Publish("four");
  EXPECT_EQ(ReadBytes(OpenToRead().get(), 15), "two\nthree\nfour\n");
}

TEST_F(DurableTapTest, AStoppingBrokerWaitsForTheReaderOfAPipe) {
  Make();
  for (const char* payload : {"one", "two", "three"}) Publish(payload);
  const UniqueFd me = OpenToRead();
  EXPECT_EQ(ReadBytes(me.get(), 4), "one\n");
  client_.reset();
  std::thread reader([&] {
    // While the broker waits for it, as far as anybody can tell.
    absl::SleepFor(absl::Milliseconds(50));
    EXPECT_EQ(ReadBytes(me.get(), 100), "two\nthree\n");
  });
  bus_.Stop();
  reader.join();
  bus_.Restart();
  EXPECT_EQ(Position(), 4u);
}

TEST_F(DurableTapTest, WithoutTheFifoThePositionStays) {
  Make();
  Publish("one");
  Publish("two");
  EXPECT_EQ(ReadBytes(OpenToRead().get(), 4), "one\n");
  AwaitPosition(2);
  std::filesystem::remove(Path("orders/new.out/me.durable"));
  ASSERT_TRUE(WaitUntil([&] { return !Log().readers(0).tap(); }));
  EXPECT_EQ(Position(), 2u);
  Make();
  EXPECT_EQ(ReadBytes(OpenToRead().get(), 4), "two\n");
}

TEST_F(DurableTapTest, WhatHasExpiredIsPassedOver) {
  Make();
  Publish("one");
  // On a busy machine too it is stored before this.
  const uint64_t expiry =
      static_cast<uint64_t>(absl::GetCurrentTimeNanos() + 2'000'000'000);
  Publish("old", expiry);
  ASSERT_TRUE(WaitUntil([&] {
    return static_cast<uint64_t>(absl::GetCurrentTimeNanos()) > expiry;
  }));
  Publish("two");
  const UniqueFd me = OpenToRead();
  EXPECT_EQ(ReadBytes(me.get(), 8), "one\ntwo\n");
  AwaitPosition(4);
}

TEST_F(DurableTapTest, MessagesLargerThanAPipeComeWhole) {
  Make();
  const std::string large(300'000, 'x');
  Publish(large);
  Publish("two");
  const UniqueFd me = OpenToRead();
  EXPECT_EQ(ReadBytes(me.get(), 300'005), large + "\ntwo\n");
  AwaitPosition(3);
}

TEST_F(DurableTapTest, EachLineIsReadWholeByOneOfManyReaders) {
  Make();
  client_ = bus_.Connect();
  constexpr int kLines = 1000;
  std::string all;
  for (int i = 0; i < kLines; ++i) {
    MessageFields fields;
    fields.topic = "orders/new";
    const std::string payload = fmt::format("{:0100}", i);
    fields.payload = payload;
    all += payload + "\n";
    ASSERT_EQ(client_->Publish(fields), PublishOutcome::kSent);
  }
  std::string read;
  while (read.size() < all.size()) {
    const size_t bytes = std::min<size_t>(3137, all.size() - read.size());
    const std::string part = ReadBytes(OpenToRead().get(), bytes);
    ASSERT_EQ(part.size(), bytes);
    // What is behind the last newline comes again.
    read += part.substr(0, part.rfind('\n') + 1);
    // Until the broker has seen the reader leave.
    for (int i = 0; i < 3; ++i) {
      ASSERT_TRUE(bus_.broker().SetTopicRules({}).ok());
    }
  }
  EXPECT_EQ(read, all);
  AwaitPosition(kLines + 1);
}

TEST_F(DurableTapTest, AReloadRepeatsNothing) {
  Make();
  Publish("one");
  Publish("two");
  const UniqueFd me = OpenToRead();
  EXPECT_EQ(ReadBytes(me.get(), 5), "one\nt");
  ASSERT_TRUE(bus_.broker().SetTopicRules({}).ok());
  Publish("three");
  EXPECT_EQ(ReadBytes(me.get(), 9), "wo\nthree\n");
  AwaitPosition(4);
}

TEST_F(DurableTapTest, ASessionMayTakeTheNameAndGivesItBack) {
  Make();
  Publish("one");
  Publish("two");
  EXPECT_EQ(ReadBytes(OpenToRead().get(), 4), "one\n");
  AwaitPosition(2);
  {
    const auto session = bus_.Connect();
    SubscribeOptions durable;
    durable.durable = "me";
    ASSERT_TRUE(session->Subscribe("orders/new", durable, kHang).ok());
    const Received got = session->Receive(absl::Now() + kHang);
    EXPECT_EQ(got.message.payload, "two");
    session->Done(got);
    AwaitPosition(3);
    ASSERT_TRUE(WaitUntil([&] { return bus_.Count("names_refused") == 1; }));
    EXPECT_FALSE(Log().readers(0).tap());
  }
  Publish("three");
  EXPECT_EQ(ReadBytes(OpenToRead().get(), 6), "three\n");
}

TEST_F(DurableTapTest, ATopicWithoutALogAndABadNameAreRefused) {
  std::filesystem::create_directories(Path("unlogged.out"));
  MakeFifo(Path("unlogged.out/me.durable"));
  ASSERT_TRUE(WaitUntil([&] { return bus_.Count("names_refused") == 1; }));
  Make("*.durable");
  ASSERT_TRUE(WaitUntil([&] { return bus_.Count("names_refused") == 2; }));
  EXPECT_EQ(Log().readers_size(), 0);
}

TEST_F(DurableTapTest, ANameThatReadsAnotherTopicIsRefused) {
  Make();
  ASSERT_TRUE(WaitUntil([&] { return Log().readers_size() == 1; }));
  std::filesystem::create_directories(Path("orders/old.out"));
  MakeFifo(Path("orders/old.out/me.durable"));
  ASSERT_TRUE(WaitUntil([&] { return bus_.Count("names_refused") == 1; }));
  EXPECT_EQ(Log().readers(0).pattern(), "orders/new");
}

}  // namespace
}  // namespace fifobus
