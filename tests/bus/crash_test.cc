// kill -9 of every kind of process, with the real binary.
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "clients/cpp/bus_locator.h"
#include "gtest/gtest.h"
#include "proto/frame_writer.h"
#include "proto/version.h"
#include "tests/support/bus_support.h"
#include "tests/support/process.h"

namespace fifobus {
namespace {

// A client with a will, which publishes numbers until its end. Does not return.
[[noreturn]] void PublishUntilKilled(const std::string& bus) {
  RawSession session(bus);
  pb::Frame hello;
  hello.mutable_hello()->set_protocol_version(kProtocolVersion);
  hello.mutable_hello()->mutable_will()->set_topic("will");
  std::string frames;
  AppendFrame(hello, frames);
  session.Write(frames);
  (void)session.Next();
  session.CloseUpReader();
  for (int next = 0;; ++next) {
    MessageFields fields;
    const std::string payload = std::to_string(next);
    fields.topic = "work";
    fields.payload = payload;
    frames.clear();
    AppendMessageFrame(fields, frames);
    session.Write(frames);
  }
}

class CrashTest : public testing::Test {
 protected:
  CrashTest() { Serve(); }

  void Serve(const std::vector<std::string>& options = {}) {
    std::vector<std::string> command = {
        FifobusBinary(), "serve", "--dir",           bus_,
        "--workers",     "2",     "--drain-timeout", "2s"};
    command.insert(command.end(), options.begin(), options.end());
    broker_ = std::make_unique<Process>(command, "", log_);
    ASSERT_TRUE(WaitUntil([&] { return CheckBus(bus_).ok(); }))
        << ReadFile(log_);
  }

  std::unique_ptr<Client> Connect() const {
    ClientOptions options;
    options.dir = bus_;
    options.connect_timeout = kHang;
    return *Client::Connect(options);
  }

  std::unique_ptr<Process> Run(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), FifobusBinary());
    arguments.insert(arguments.end(), {"--dir", bus_});
    return std::make_unique<Process>(arguments);
  }

  const TempDir dir_;
  const std::string bus_ = dir_.path() + "/bus";
  const std::string log_ = dir_.path() + "/log";
  std::unique_ptr<Process> broker_;
};

TEST_F(CrashTest, KilledClientsHarmNobodyAndLeaveNoDescriptors) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  const auto publisher = Connect();
  const auto subscriber = Connect();
  ASSERT_TRUE(subscriber->Subscribe("witness", kHang).ok());
  const size_t before = OpenDescriptorsOf(broker_->pid());

  std::atomic<bool> done{false};
  uint64_t published = 0;
  std::thread publishing([&] {
    for (; !done; ++published) {
      ASSERT_EQ(publisher->Publish("witness", std::to_string(published)),
                PublishOutcome::kSent);
    }
    ASSERT_EQ(publisher->Publish("witness", "end"), PublishOutcome::kSent);
  });
  std::thread killing([&] {
    for (int round = 0; round < 15; ++round) {
      std::vector<std::unique_ptr<Process>> victims;
      victims.push_back(Run({"sub", "**"}));
      victims.push_back(Run({"bench", "pub", "load", "--count", "100000000",
                             "--size", "3000", "--batch"}));
      victims.push_back(Run({"bench", "pub", "load", "--count", "100000000",
                             "--size", "100000"}));
      victims.push_back(Run({"bench", "sub", "load", "--count", "100000000"}));
      // At whatever they are doing then.
      absl::SleepFor(absl::Microseconds(random() % 50000));
      for (const auto& victim : victims) victim->Signal(SIGKILL);
    }
    done = true;
  });
  uint64_t next = 0;
  while (true) {
    const Received got = subscriber->Receive(absl::Now() + kHang);
    ASSERT_EQ(got.outcome, ReceiveOutcome::kMessage) << next;
    if (got.message.payload == "end") break;
    ASSERT_EQ(got.message.payload, std::to_string(next));
    ++next;
  }
  publishing.join();
  killing.join();
  EXPECT_EQ(next, published);
  EXPECT_TRUE(WaitUntil([&] {
    return OpenDescriptorsOf(broker_->pid()) == before;
  })) << before
      << " then " << OpenDescriptorsOf(broker_->pid());
  // Who died while making its pair may have left a part of it, never a whole
  // one.
  for (const auto& entry :
       std::filesystem::directory_iterator(bus_ + "/sessions")) {
    const std::string name = entry.path().filename().string();
    EXPECT_TRUE(name.starts_with('.') || name.ends_with(".down")) << name;
  }
}

TEST_F(CrashTest, AfterTheBrokersDeathClientsAreBackByThemselves) {
  const auto subscriber = Connect();
  const auto publisher = Connect();
  ASSERT_TRUE(subscriber->Subscribe("a", kHang).ok());
  for (int round = 0; round < 3; ++round) {
    broker_->Signal(SIGKILL);
    broker_->Wait();
    EXPECT_EQ(CheckBus(bus_).code(), absl::StatusCode::kUnavailable);
    Serve();
    const Received gap = subscriber->Receive(absl::Now() + kHang);
    ASSERT_EQ(gap.outcome, ReceiveOutcome::kGap);
    EXPECT_EQ(gap.gap.reason, GapReason::kReconnected);
    ASSERT_TRUE(WaitUntil([&] { return subscriber->Ping(kHang).ok(); }));
    // The first broker dies before anything was published.
    EXPECT_EQ(
        publisher->Publish("a", "again"),
        round == 0 ? PublishOutcome::kSent : PublishOutcome::kSentAfterGap);
    EXPECT_EQ(ReceivePayloads(*subscriber, 1),
              std::vector<std::string>{"again"});
  }
}

TEST_F(CrashTest, AKilledBrokerLeavesADirectoryThatTheNextOneCleans) {
  const auto client = Connect();
  broker_->Signal(SIGKILL);
  broker_->Wait();
  // A pair that nobody reads any more, and the client that waits for a broker.
  MakeFifo(bus_ + "/sessions/dead.down");
  MakeFifo(bus_ + "/sessions/dead.up");
  Serve();
  ASSERT_TRUE(WaitUntil([&] { return client->Ping(kHang).ok(); }));
  EXPECT_TRUE(
      WaitUntil([&] { return std::filesystem::is_empty(bus_ + "/sessions"); }));
}

TEST_F(CrashTest, SigtermDeliversWhatWasPublishedAndSaysGoodbye) {
  const auto subscriber = Connect();
  ASSERT_TRUE(subscriber->Subscribe("a", kHang).ok());
  constexpr int kMessages = 20000;
  std::thread publishing([&] {
    const auto publisher = Connect();
    for (int i = 0; i < kMessages; ++i) {
      ASSERT_EQ(publisher->Publish("a", "x"), PublishOutcome::kSent);
    }
    broker_->Signal(SIGTERM);
  });
  int received = 0;
  while (true) {
    const Received got = subscriber->Receive(absl::Now() + kHang);
    if (got.outcome != ReceiveOutcome::kMessage) break;
    ++received;
  }
  publishing.join();
  EXPECT_EQ(received, kMessages);
  EXPECT_EQ(broker_->Wait(), 0) << ReadFile(log_);
  EXPECT_NE(ReadFile(log_).find("stopped, all delivered"), std::string::npos);
}

TEST_F(CrashTest, ASecondBrokerIsRefusedAndNamesTheFirst) {
  const std::string error = dir_.path() + "/error";
  Process second({FifobusBinary(), "serve", "--dir", bus_}, "", error);
  const std::string pid = std::to_string(broker_->pid());
  EXPECT_EQ(second.Wait(), 1);
  EXPECT_NE(ReadFile(error).find("pid " + pid), std::string::npos)
      << ReadFile(error);
  EXPECT_TRUE(Connect()->Ping(kHang).ok());
}

TEST_F(CrashTest, ABadHistoryRuleIsAnErrorOfUsage) {
  const std::string error = dir_.path() + "/error";
  Process broker({FifobusBinary(), "serve", "--dir", dir_.path() + "/other",
                  "--history", "good/**=3", "--history", "sensors"},
                 "", error);
  EXPECT_EQ(broker.Wait(), 2);
  EXPECT_NE(ReadFile(error).find("\"sensors\" is not PATTERN=COUNT"),
            std::string::npos)
      << ReadFile(error);
}

TEST_F(CrashTest, AnIdleBrokerNeverWakesUp) {
  const auto client = Connect();
  ASSERT_TRUE(client->Subscribe("a", kHang).ok());
  ASSERT_EQ(client->Publish("a", "x"), PublishOutcome::kSent);
  EXPECT_EQ(ReceivePayloads(*client, 1).size(), 1u);
  // Once nothing happens in between two looks, nothing may ever happen again.
  // On a busy machine a thread that was woken may take a while to run.
  size_t sleeps = 0;
  ASSERT_TRUE(WaitUntil([&] {
    const size_t before = sleeps;
    sleeps = SleepsOf(broker_->pid());
    absl::SleepFor(absl::Milliseconds(100));
    return sleeps == before;
  }));
  absl::SleepFor(absl::Milliseconds(300));
  EXPECT_EQ(SleepsOf(broker_->pid()), sleeps);
}

TEST_F(CrashTest, AKilledClientsWillFollowsItsLastMessage) {
  RawSession watcher(bus_);
  watcher.Greet();
  watcher.Write(SubscribeFrame("**"));
  ASSERT_TRUE(watcher.Next().has_subscribed());
  for (int round = 0; round < 10; ++round) {
    const pid_t victim = fork();
    if (victim == 0) PublishUntilKilled(bus_);
    // Wherever it is then; a few messages have come.
    int next = 0;
    for (; next < 100; ++next) {
      ASSERT_EQ(watcher.Next().message().payload(), std::to_string(next));
    }
    kill(victim, SIGKILL);
    ASSERT_EQ(waitpid(victim, nullptr, 0), victim);
    pb::Message message = watcher.Next().message();
    for (; message.topic() == "work"; message = watcher.Next().message()) {
      ASSERT_EQ(message.payload(), std::to_string(next++));
    }
    ASSERT_EQ(message.topic(), "will");
  }
}

TEST_F(CrashTest, RetainedValuesOutliveAKilledBroker) {
  {
    RawSession publisher(bus_);
    publisher.Greet();
    MessageFields fields;
    fields.topic = "a/b";
    fields.payload = "kept";
    fields.retain = true;
    std::string frame;
    AppendMessageFrame(fields, frame);
    publisher.Write(frame);
    ASSERT_TRUE(WaitUntil(
        [&] { return ReadFile(bus_ + "/topics/a/b.last") == "kept"; }));
    broker_->Signal(SIGKILL);
    broker_->Wait();
  }
  Serve();
  RawSession subscriber(bus_);
  subscriber.Greet();
  subscriber.Write(SubscribeFrame("a/*"));
  EXPECT_TRUE(subscriber.Next().delivery().retained());
  EXPECT_EQ(subscriber.Next().message().payload(), "kept");
}

TEST_F(CrashTest, StatisticsWakeTheBrokerOnlyWhileSomebodyWantsThem) {
  broker_->Signal(SIGKILL);
  broker_->Wait();
  Serve({"--sys-interval", "10ms", "--history", "log/**=5"});
  {
    RawSession watcher(bus_);
    watcher.Greet();
    watcher.Write(SubscribeFrame("$sys/stats"));
    ASSERT_TRUE(watcher.Next().has_subscribed());
    for (int i = 0; i < 5; ++i) ASSERT_TRUE(watcher.Next().has_message());
  }
  size_t sleeps = 0;
  ASSERT_TRUE(WaitUntil([&] {
    const size_t before = sleeps;
    sleeps = SleepsOf(broker_->pid());
    absl::SleepFor(absl::Milliseconds(100));  // ten intervals
    return sleeps == before;
  }));
  absl::SleepFor(absl::Milliseconds(300));
  EXPECT_EQ(SleepsOf(broker_->pid()), sleeps);
}

TEST_F(CrashTest, RunningOutOfDescriptorsTurnsNewClientsAwayPolitely) {
  broker_->Signal(SIGKILL);
  broker_->Wait();
  broker_ = std::make_unique<Process>(
      std::vector<std::string>{
          "/bin/sh", "-c",
          "ulimit -n 40; exec " + FifobusBinary() + " serve --dir " + bus_},
      "", log_);
  ASSERT_TRUE(WaitUntil([&] { return CheckBus(bus_).ok(); }));
  // UBSan's check of virtual calls opens a pipe for each class that it has not
  // seen; a first client shows it all of them while there are descriptors.
  EXPECT_TRUE(Connect()->Ping(kHang).ok());
  std::vector<std::unique_ptr<Client>> clients;
  absl::Status refusal;
  while (refusal.ok()) {
    ASSERT_LT(clients.size(), 40u);
    ClientOptions options;
    options.dir = bus_;
    options.connect_timeout =
        clients.size() < 5 ? kHang : absl::Milliseconds(500);
    auto client = Client::Connect(options);
    if (client.ok()) {
      clients.push_back(*std::move(client));
    } else {
      refusal = client.status();
    }
  }
  EXPECT_NE(refusal.message().find("ulimit -n"), absl::string_view::npos)
      << refusal;
  // Those who are in are served, and when one leaves another may come.
  EXPECT_TRUE(clients.front()->Ping(kHang).ok());
  clients.pop_back();
  EXPECT_TRUE(Connect()->Ping(kHang).ok());
}

}  // namespace
}  // namespace fifobus
