// `fifobus pub` and `fifobus sub` on topics that a log stores.

#include <signal.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string>

#include "gtest/gtest.h"
#include "tests/support/cli_support.h"

namespace fifobus {
namespace {

class CliLogTest : public CliTest {
 protected:
  CliLogTest() {
    UseDir(Path("bus"));
    Serve();
  }

  void Serve() {
    broker_ = Spawn(fmt::format("exec fifobus serve --state-dir {} "
                                "--log 'orders=orders/**'",
                                Path("state")),
                    "broker");
    EXPECT_TRUE(WaitUntil([&] { return Run("fifobus ls").exit == 0; }))
        << ReadFile(Path("broker.err"));
  }

  void Kill() {
    broker_->Signal(SIGKILL);
    EXPECT_EQ(broker_->Wait(), -SIGKILL);
  }

  static bool Has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
  }

  std::unique_ptr<Process> broker_;
};

TEST_F(CliLogTest, PubSaysWhereAMessageIsStored) {
  EXPECT_EQ(Run("fifobus pub orders/1 tea --confirm=stored").out,
            "stored 1 0 0\n");
  EXPECT_EQ(Run("fifobus pub orders/1 tea --confirm=written").exit, 0);
  EXPECT_EQ(
      Run("printf 'a\\nb\\n' | fifobus pub orders/1 --confirm=stored").out,
      "stored 3 0 0\nstored 4 0 0\n");
}

TEST_F(CliLogTest, AMessageThatNoLogStoresEndsPubWithOneLine) {
  const Outcome outcome = Run("seq 3 | fifobus pub elsewhere --confirm=stored");
  EXPECT_EQ(outcome.exit, 1);
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(outcome.err,
            "fifobus: message 1 is not stored: no log stores its topic; "
            "`fifobus log ls` shows the logs\n");
}

TEST_F(CliLogTest, ASecondRunWithTheSameInputStoresWhatIsMissing) {
  const std::string pub =
      " | fifobus pub orders/1 --confirm=stored --publisher till --resume";
  EXPECT_EQ(Run("seq 3" + pub).exit, 0);
  const Outcome again = Run("seq 5" + pub);
  EXPECT_EQ(again.exit, 0);
  EXPECT_TRUE(again.out.ends_with("\nstored 4 0 0\nstored 5 0 0\n"))
      << again.out;
  EXPECT_EQ(again.err,
            "fifobus: 3 of 5 messages were in the log already and are not "
            "stored again\n");
}

TEST_F(CliLogTest, APublishersNameAloneRepeatsNothing) {
  const std::string pub =
      "fifobus pub orders/1 x --confirm=stored --publisher till";
  EXPECT_EQ(Run(pub).out, "stored 1 0 0\n");
  EXPECT_EQ(Run(pub).out, "stored 2 0 0\n");
}

TEST_F(CliLogTest, WhatAKilledBrokerLeftUnconfirmedIsStoredOnce) {
  constexpr int kLines = 30000;
  const auto pub =
      Spawn(fmt::format("seq {} | fifobus pub orders/1 --confirm=stored "
                        "--publisher till",
                        kLines),
            "pub");
  for (int kills = 1; kills <= 3; ++kills) {
    // Somewhere on the way; or at its end, if this machine is that fast.
    const auto lines = static_cast<size_t>(kLines / 5 * kills);
    EXPECT_TRUE(WaitUntil([&] {
      const std::string out = ReadFile(Path("pub"));
      return std::count(out.begin(), out.end(), '\n') >=
             static_cast<ptrdiff_t>(lines);
    }));
    Kill();
    Serve();
  }
  EXPECT_EQ(pub->Wait(), 0) << ReadFile(Path("pub.err"));
  const std::string out = ReadFile(Path("pub"));
  EXPECT_EQ(std::count(out.begin(), out.end(), '\n'), kLines);
  broker_->Signal(SIGTERM);
  EXPECT_EQ(broker_->Wait(), 0);
  const Outcome stored = Run(fmt::format(
      "fifobus log export orders --state-dir {} --format payload > {}; "
      "seq {} | cmp - {}",
      Path("state"), Path("stored"), kLines, Path("stored")));
  EXPECT_EQ(stored.exit, 0) << stored.err << stored.out;
}

TEST_F(CliLogTest, SubReadsFromWhereItIsTold) {
  EXPECT_EQ(Run("seq 5 | fifobus pub orders/1 --confirm=stored").exit, 0);
  const auto read = [&](const std::string& options) {
    const Outcome outcome =
        Run("fifobus sub 'orders/**' --until now " + options);
    EXPECT_EQ(outcome.exit, 0) << options << ": " << outcome.err;
    return outcome.out;
  };
  EXPECT_EQ(read("--from start"), "1\n2\n3\n4\n5\n");
  EXPECT_EQ(read("--from 4"), "4\n5\n");
  EXPECT_EQ(read("--from -2"), "4\n5\n");
  EXPECT_EQ(read("--from -1h"), "1\n2\n3\n4\n5\n");
  EXPECT_EQ(read("--from 2100-01-01T00:00Z"), "");
  EXPECT_EQ(read("--from new"), "");
  EXPECT_EQ(read("--from -1 --format '{offset} {payload}\\n'"), "5 5\n");
  const std::string json = read("--from -1 --json");
  EXPECT_TRUE(Has(json, "\"offset\":5,\"stored_time\":\"20")) << json;
}

TEST_F(CliLogTest, SubSaysWhatCannotBeRead) {
  const Outcome bad = Run("fifobus sub orders/1 --from -5x");
  EXPECT_EQ(bad.exit, 2);
  EXPECT_TRUE(Has(bad.err, "--from: \"-5x\" is no place in a log")) << bad.err;
  const Outcome no_log = Run("fifobus sub elsewhere --from start");
  EXPECT_EQ(no_log.exit, 1);
  EXPECT_TRUE(Has(no_log.err, "the logs are: orders (orders/**)"))
      << no_log.err;
  EXPECT_EQ(std::count(no_log.err.begin(), no_log.err.end(), '\n'), 1);
  for (const char* options :
       {"--until now", "--until then --from start", "--from start --group g",
        "--durable d --group g", "--durable d --group g --ack --until now"}) {
    EXPECT_EQ(Run(std::string("fifobus sub orders/1 ") + options).exit, 2)
        << options;
  }
}

TEST_F(CliLogTest, ADurableSubGoesOnBehindWhatItHasWritten) {
  EXPECT_EQ(Run("seq 9 | fifobus pub orders/1 --confirm=stored").exit, 0);
  const std::string sub = "fifobus sub orders/1 --durable d ";
  EXPECT_EQ(Run(sub + "-n 3").out, "1\n2\n3\n");
  EXPECT_EQ(Run(sub + "-n 2 --exec-stream cat").out, "4\n5\n");
  EXPECT_EQ(Run(sub + "-n 1 --exec 'echo $FIFOBUS_OFFSET; cat'").out, "6\n6");
  const Outcome failed = Run(sub + "--exec 'exit 1'");
  EXPECT_EQ(failed.exit, 1);
  EXPECT_TRUE(Has(failed.err, "the durable reader d stays at offset 7"))
      << failed.err;
  EXPECT_EQ(Run(sub + "--until now").out, "7\n8\n9\n");
  EXPECT_EQ(Run(sub + "--until now").out, "");
}

TEST_F(CliLogTest, MembersOfADurableGroupShareItsPosition) {
  EXPECT_EQ(Run("seq 6 | fifobus pub orders/1 --confirm=stored").exit, 0);
  const std::string sub =
      "fifobus sub orders/1 --durable d --group g --ack --timeout 50s ";
  EXPECT_EQ(Run(sub + "-n 2").out, "1\n2\n");
  EXPECT_EQ(Run(sub + "-n 1 --exec 'echo $FIFOBUS_OFFSET; cat'").out, "3\n3");
  Kill();
  Serve();
  // The position is kept ten times a second: the last ones may come again.
  const Outcome rest = Run(sub + "--exec 'cat; echo' | grep -q '^6$'");
  EXPECT_EQ(rest.exit, 0) << rest.err;
}

TEST_F(CliLogTest, AKilledBrokerMakesNoHoleInWhatSubReads) {
  constexpr int kLines = 20000;
  EXPECT_EQ(
      Run(fmt::format("seq {} | fifobus pub orders/1 --confirm=stored", kLines))
          .exit,
      0);
  // Slow, so that it is on its way when the broker is killed.
  const auto sub =
      Spawn(fmt::format("fifobus sub orders/1 --from start --until now | "
                        "while read -r line; do echo $line; done"),
            "sub");
  EXPECT_TRUE(WaitUntil([&] { return !ReadFile(Path("sub")).empty(); }));
  Kill();
  Serve();
  EXPECT_EQ(sub->Wait(), 0) << ReadFile(Path("sub.err"));
  EXPECT_EQ(Run(fmt::format("seq {} | cmp - {}", kLines, Path("sub"))).exit, 0);
}

}  // namespace
}  // namespace fifobus
