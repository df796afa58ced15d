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

}  // namespace
}  // namespace fifobus
