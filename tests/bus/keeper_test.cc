// `fifobus serve --keep` as processes: when brokers are started, and when not;
// signals, logs and descriptors. kept_taps_test.cc is about what taps notice.
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "broker/base/unique_fd.h"
#include "clients/cpp/bus_locator.h"
#include "fmt/format.h"
#include "gtest/gtest.h"
#include "tests/support/keeper_support.h"

namespace fifobus {
namespace {

TEST_F(KeeperTest, ADeadBrokerIsFollowedByTheNextAndCounted) {
  Keep();
  for (int restarts = 1; restarts <= 3; ++restarts) {
    ReplaceBroker();
    EXPECT_EQ(Run("fifobus pub t hello --confirm").out, "accepted 0 0\n");
    EXPECT_NE(Run("fifobus ls --json")
                  .out.find(fmt::format("\"broker_restarts\":{}", restarts)),
              std::string::npos);
  }
  EXPECT_NE(Run("fifobus metrics").out.find("fifobus_broker_restarts_total 3"),
            std::string::npos);
  EXPECT_EQ(LogLines("the broker died and is started again"), 3u);
}

TEST_F(KeeperTest, ABrokerThatCannotStartForAWhileIsTriedAgain) {
  Keep("--restart-delay 100ms");
  MakeTap("t", "me");
  KillBrokerAndStopKeeper();
  UniqueFd lock(open((bus() + "/broker.lock").c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_EQ(flock(lock.get(), LOCK_EX | LOCK_NB), 0);
  keeper_->Signal(SIGCONT);
  ASSERT_TRUE(AwaitLog("a broker runs on"));
  // Taps are followed meanwhile.
  MakeFifo(TopicsPath("t.out/new"));
  ASSERT_TRUE(WaitUntil([&] { return Holds("t.out/new"); }));
  const auto reader = Cat("t.out/new", "got");
  EXPECT_EQ(Run("echo hello > " + TopicsPath("t.in")).exit, 0);
  lock.Reset();
  ASSERT_TRUE(AwaitText("got", "hello\n"));
  EXPECT_TRUE(CheckBus(bus()).ok());
}

TEST_F(KeeperTest, ABrokerThatNeverStartsIsGivenUp) {
  Keep("--restart-delay 10ms");
  MakeTap("t", "me");
  KillBrokerAndStopKeeper();
  const UniqueFd lock(
      open((bus() + "/broker.lock").c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_EQ(flock(lock.get(), LOCK_EX | LOCK_NB), 0);
  Run("echo hello > " + TopicsPath("t.in"));
  keeper_->Signal(SIGCONT);
  EXPECT_EQ(keeper_->Wait(), 1);
  EXPECT_EQ(LogLines("a broker runs on"), 10u);
  EXPECT_NE(Log().find("the broker never starts, and is not tried again"),
            std::string::npos);
  EXPECT_NE(Log().find("were read by no broker: bytes=6\n"), std::string::npos);
  keeper_.reset();
}

TEST_F(KeeperTest, ABrokerThatDoesNotStartAtFirstIsNotTriedAgain) {
  Keep();
  const Outcome second = Run("fifobus serve --keep");
  EXPECT_EQ(second.exit, 1);
  EXPECT_NE(second.err.find(fmt::format("pid {}", BrokerPid())),
            std::string::npos)
      << second.err;
  EXPECT_NE(second.err.find("the broker cannot start"), std::string::npos)
      << second.err;
  EXPECT_EQ(second.err.find("started again"), std::string::npos) << second.err;
}

TEST_F(KeeperTest, ABadConfigurationIsWrongUsageAtOnceAndLater) {
  const auto write = [&](const std::string& text) {
    std::ofstream(Path("bus.toml")) << text;
  };
  write("workers = 'many'\n");
  const std::string options = "--config " + Path("bus.toml");
  EXPECT_EQ(Run("fifobus serve --keep " + options).exit, 2);
  write("workers = 1\n");
  Keep(options);
  write("workers = 'many'\n");
  KillBroker();
  EXPECT_EQ(keeper_->Wait(), 2);
  EXPECT_NE(Log().find("the broker cannot start"), std::string::npos);
  keeper_.reset();
}

TEST_F(KeeperTest, RestartsBackOffUntilOneRanWell) {
  Keep();
  for (int i = 0; i < 4; ++i) ReplaceBroker();
  ASSERT_EQ(LogLines("started again"), 4u);
  // Where the machine is slow a broker may have run for a second.
  if (LogLines(" served_ms=1") == 0) {
    for (const char* delay :
         {"delay_ms=0 ", "delay_ms=10 ", "delay_ms=20 ", "delay_ms=40 "}) {
      EXPECT_EQ(LogLines(delay), 1u) << delay;
    }
  }
  absl::SleepFor(absl::Seconds(1));  // what "well" means
  const size_t at_once = LogLines("delay_ms=0 ");
  ReplaceBroker();
  EXPECT_EQ(LogLines("delay_ms=0 "), at_once + 1);
}

TEST_F(KeeperTest, KillingTheKeeperHarmsNobody) {
  Keep();
  MakeTap("t", "me");
  const auto reader = Cat("t.out/me", "got");
  const auto subscriber = Spawn("exec fifobus sub t -n 2", "sub");
  Run("fifobus pub t one --wait-subscribers 2");
  ASSERT_TRUE(AwaitText("got", "one\n"));
  const pid_t broker = BrokerPid();
  keeper_->Signal(SIGKILL);
  EXPECT_EQ(keeper_->Wait(), -SIGKILL);
  keeper_.reset();
  Run("echo two > " + TopicsPath("t.in"));
  ASSERT_TRUE(AwaitText("got", "one\ntwo\n"));
  EXPECT_EQ(subscriber->Wait(), 0);
  EXPECT_EQ(ReadFile(Path("sub")), "one\ntwo\n");
  EXPECT_EQ(BrokerPid(), broker);
  // The next keeper is told that it runs.
  EXPECT_NE(Run("fifobus serve --keep").err.find(fmt::format("pid {}", broker)),
            std::string::npos);
  ASSERT_EQ(kill(broker, SIGTERM), 0);
  EXPECT_EQ(reader->Wait(), 0);
}

TEST_F(KeeperTest, SigtermStopsBothInOrder) {
  Keep();
  MakeTap("t", "me");
  const auto reader = Cat("t.out/me", "got");
  ReplaceBroker();
  const pid_t broker = BrokerPid();
  Run("fifobus pub t last --wait-subscribers 1");
  // A service manager signals all processes of a service.
  kill(broker, SIGTERM);
  keeper_->Signal(SIGTERM);
  EXPECT_EQ(keeper_->Wait(), 0);
  EXPECT_EQ(reader->Wait(), 0);
  EXPECT_EQ(ReadFile(Path("got")), "last\n");
  EXPECT_NE(Log().find("stopped, all delivered"), std::string::npos);
  EXPECT_FALSE(CheckBus(bus()).ok());
  EXPECT_TRUE(std::filesystem::is_fifo(TopicsPath("t.in")));
  keeper_.reset();
}

TEST_F(KeeperTest, ASecondSignalEndsBothAtOnce) {
  Keep();
  const pid_t broker = BrokerPid();
  kill(broker, SIGSTOP);
  keeper_->Signal(SIGTERM);
  // Until it is taken, another one is the same one: signal(7).
  ASSERT_TRUE(WaitUntil([&] {
    return ReadFile(fmt::format("/proc/{}/status", keeper_->pid()))
               .find("ShdPnd:\t0000000000000000") != std::string::npos;
  }));
  keeper_->Signal(SIGTERM);
  EXPECT_EQ(keeper_->Wait(), -SIGTERM);
  EXPECT_FALSE(CheckBus(bus()).ok());
  keeper_.reset();
}

TEST_F(KeeperTest, ABrokerThatIsStoppedByHandIsNotStartedAgain) {
  Keep();
  kill(BrokerPid(), SIGTERM);
  EXPECT_EQ(keeper_->Wait(), 0);
  EXPECT_NE(Log().find("the broker was stopped, and is not started again"),
            std::string::npos);
  keeper_.reset();
}

TEST_F(KeeperTest, SighupReloadsOrStops) {
  const std::string config = Path("bus.toml");
  std::ofstream(config) << "workers = 1\n";
  Keep("--config " + config);
  std::ofstream(config) << "workers = 1\n[[topic]]\npattern = 'a/**'\n"
                           "retain = true\n";
  keeper_->Signal(SIGHUP);
  EXPECT_TRUE(AwaitLog("configuration"));
  keeper_->Signal(SIGTERM);
  EXPECT_EQ(keeper_->Wait(), 0);
  Keep();
  keeper_->Signal(SIGHUP);
  EXPECT_EQ(keeper_->Wait(), 0);
  keeper_.reset();
}

TEST_F(KeeperTest, ALogThatNobodyReadsStopsNoRestart) {
  const std::string log = Path("log");
  MakeFifo(log);
  const UniqueFd reader(open(log.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
  ASSERT_EQ(fcntl(reader.get(), F_SETPIPE_SZ, 16384), 16384);
  Keep("2> " + log);
  const std::string line(100, 'x');
  while (write(reader.get(), line.data(), line.size()) > 0) {
  }
  for (int i = 0; i < 3; ++i) ReplaceBroker();
  // Read at last, it says what is missing.
  std::string text;
  const auto read_all = [&] {
    char bytes[5000];
    ssize_t size = 0;
    while ((size = read(reader.get(), bytes, sizeof(bytes))) > 0) {
      text.append(bytes, static_cast<size_t>(size));
    }
  };
  read_all();
  ReplaceBroker();
  EXPECT_TRUE(WaitUntil([&] {
    read_all();
    return text.find("started again") != std::string::npos;
  })) << text;
  EXPECT_NE(text.find("were dropped"), std::string::npos) << text;
}

TEST_F(KeeperTest, AnIgnoredSigchldIsNoObstacle) {
  keeper_ = Spawn("trap '' CHLD; exec fifobus serve --keep", "keep");
  ASSERT_TRUE(WaitUntil([&] { return CheckBus(bus()).ok(); })) << Log();
  ReplaceBroker();
  keeper_->Signal(SIGTERM);
  EXPECT_EQ(keeper_->Wait(), 0);
  keeper_.reset();
}

TEST_F(KeeperTest, ManyDeathsLeaveTheKeeperAsItWas) {
  Keep("--restart-delay 0s");
  MakeTap("t", "me");
  ReplaceBroker();
  const size_t before = KeepersFiles().size();
  for (int i = 0; i < 10; ++i) ReplaceBroker();
  EXPECT_TRUE(WaitUntil([&] { return KeepersFiles().size() == before; }))
      << before << " then " << KeepersFiles().size();
}

}  // namespace
}  // namespace fifobus
