// `fifobus log seek`, `forget` and `trim`, by a broker and without one.

#include <signal.h>

#include <memory>
#include <string>

#include "fmt/format.h"
#include "gtest/gtest.h"
#include "tests/support/cli_support.h"
#include "tests/support/stored_log_support.h"

namespace fifobus {
namespace {

constexpr int kMessages = 10;

class LogChangeTest : public CliTest {
 protected:
  // Ten messages a second apart, each in a segment of its own.
  void SetUp() override {
    LogOnDisk log(Path("state"), "orders", /*segment_bytes=*/4097);
    for (int i = 0; i < kMessages; ++i) {
      log.Store("orders/new", fmt::format("{}", i + 1));
      log.now_unix_nanos += 1'000'000'000;
    }
    log.Cover();
  }

  Outcome Log(const std::string& arguments) const {
    return Run(fmt::format("FIFOBUS_STATE_DIR={} fifobus log {}", Path("state"),
                           arguments));
  }

  std::unique_ptr<Process> Serve() {
    UseDir(Path("bus"));
    auto broker =
        Spawn(fmt::format("exec fifobus serve --dir {} --state-dir {} "
                          "--log 'orders=orders/**'",
                          Path("bus"), Path("state")),
              "serve");
    EXPECT_TRUE(WaitUntil([&] {
      return ReadFile(Path("serve.err")).find("ready") != std::string::npos;
    }));
    return broker;
  }

  // The same commands do the same in both ways. `pattern`: what a new reader
  // needs.
  void ExpectThatCommandsWork(const std::string& pattern) {
    EXPECT_EQ(Log("seek orders billing --to 4" + pattern).out,
              "orders: billing is at offset 4, 7 messages behind\n");
    EXPECT_EQ(Log("seek orders billing --to -3").out,
              "orders: billing is at offset 8, 3 messages behind\n");
    EXPECT_EQ(Log("seek orders billing --to 1970-01-01T00:00:02Z").out,
              "orders: billing is at offset 2, 9 messages behind\n");
    EXPECT_EQ(Log("seek orders billing --to new").out,
              "orders: billing is at offset 11, 0 messages behind\n");
    EXPECT_TRUE(
        Log("trim orders --before 6")
            .out.starts_with("orders: begins at offset 6, 5 messages, "));
    EXPECT_TRUE(
        Log("trim orders --before 1970-01-01T00:00:08Z")
            .out.starts_with("orders: begins at offset 8, 3 messages, "));
    EXPECT_EQ(Log("seek orders billing --to start").out,
              "orders: billing is at offset 8, 3 messages behind\n");
    EXPECT_EQ(Log("seek orders other --to start" + pattern).exit, 0);
    EXPECT_EQ(Log("forget orders other").out, "orders: other is forgotten\n");
    const Outcome unknown = Log("forget orders other");
    EXPECT_EQ(unknown.exit, 1);
    EXPECT_NE(unknown.err.find("the log orders has no durable reader "
                               "\"other\"; it has billing"),
              std::string::npos)
        << unknown.err;
    const Outcome behind = Log("seek orders billing --to 99");
    EXPECT_EQ(behind.exit, 1);
    EXPECT_NE(behind.err.find("offset 99 is not in the log orders"),
              std::string::npos)
        << behind.err;
    EXPECT_EQ(Log("trim order --before 1").exit, 1);
    EXPECT_EQ(Log("seek orders billing").exit, 2) << "where to?";
    EXPECT_EQ(Log("trim orders --before soon").exit, 2);
  }

  void ExpectThatFilesShowIt() const {
    EXPECT_EQ(Log("export orders --format payload").out, "8\n9\n10\n");
    const Outcome ls = Log("ls");
    EXPECT_NE(ls.out.find("  billing                3 messages behind, at "
                          "offset 8\n"),
              std::string::npos)
        << ls.out;
    EXPECT_NE(Log("info orders").out.find("billing of orders/**: 3 messages"),
              std::string::npos);
    EXPECT_EQ(Log("check").exit, 0);
  }
};

TEST_F(LogChangeTest, WithoutABrokerTheFilesAreChanged) {
  ExpectThatCommandsWork(" --pattern 'orders/**'");
  ExpectThatFilesShowIt();
  const Outcome no_pattern = Log("seek orders fresh --to start");
  EXPECT_EQ(no_pattern.exit, 1);
  EXPECT_NE(no_pattern.err.find("to make it, name its pattern"),
            std::string::npos)
      << no_pattern.err;
}

TEST_F(LogChangeTest, ABrokerChangesItsOwnLog) {
  const auto broker = Serve();
  ExpectThatCommandsWork("");
  // On disk soon after.
  EXPECT_TRUE(WaitUntil([&] {
    return Log("ls").out.find("billing                3 messages behind") !=
           std::string::npos;
  }));
  EXPECT_NE(Run("fifobus ls").out.find("billing"), std::string::npos);
  EXPECT_NE(Run("fifobus info billing --interval 1ms")
                .out.find("billing: 3 messages behind, at offset 8"),
            std::string::npos);
  EXPECT_NE(Run("fifobus why orders/new --interval 1ms")
                .out.find("- The durable reader billing is 3 messages behind."),
            std::string::npos);
  broker->Signal(SIGTERM);
  EXPECT_EQ(broker->Wait(), 0);
  ExpectThatFilesShowIt();
}

TEST_F(LogChangeTest, TheFilesOfARunningBrokerAreLeftAlone) {
  const auto broker = Serve();
  const Outcome locked =
      Log(fmt::format("trim orders --before 6 --state-dir {}", Path("state")));
  EXPECT_EQ(locked.exit, 1);
  EXPECT_NE(locked.err.find("stop that one first"), std::string::npos)
      << locked.err;
  const Outcome other = Log("trim nothing --before 6");
  EXPECT_EQ(other.exit, 1);
  EXPECT_NE(other.err.find("the broker serves no log \"nothing\"; its logs are:"
                           " orders (orders/**)"),
            std::string::npos)
      << other.err;
}

}  // namespace
}  // namespace fifobus
