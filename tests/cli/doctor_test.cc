// `fifobus doctor`, run as people run it.

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <set>
#include <string>

#include "fmt/format.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/support/bus_support.h"
#include "tests/support/cli_support.h"
#include "tests/support/process.h"

namespace fifobus {
namespace {

using ::nlohmann::json;

class DoctorTest : public CliTest {
 protected:
  // The findings by their check. The exit code must agree with them.
  json Examine(const std::string& options = "") {
    const Outcome outcome = Run(fmt::format(
        "fifobus doctor --json --state-dir {} {}", Path("state"), options));
    EXPECT_EQ(outcome.err, "");
    const json all = json::parse(outcome.out);
    EXPECT_EQ(outcome.exit, all["wrong"] == 0 ? 0 : 1) << outcome.out;
    json by_check;
    for (const json& finding : all["checks"]) {
      by_check[finding["check"].get<std::string>()] = finding;
    }
    return by_check;
  }
};

TEST_F(DoctorTest, RunningBrokerIsAskedAndFound) {
  const TestBus bus;
  Use(bus);
  const auto sub = Spawn("exec fifobus sub 'a/*'", "sub");
  AwaitSubscribers(bus, 1);
  const json found = Examine();
  EXPECT_EQ(found["broker"]["text"],
            fmt::format("process {} runs and answers", getpid()));
  for (const char* check : {"broker", "version", "directory", "file system",
                            "owners and modes", "leftovers"}) {
    EXPECT_EQ(found[check]["verdict"], "ok") << found[check];
  }
  EXPECT_TRUE(found.contains("broker's pipes"));
  EXPECT_TRUE(found.contains("broker's descriptors"));
}

TEST_F(DoctorTest, BusWithoutABrokerIsLookedAtAndLeftAlone) {
  UseDir(Path("bus"));
  const json found = Examine();
  EXPECT_EQ(found["broker"]["verdict"], "note");
  EXPECT_EQ(found["broker"]["command"], "fifobus serve");
  EXPECT_EQ(found["directory"]["verdict"], "ok");
  EXPECT_NE(access(Path("bus").c_str(), F_OK), 0);
  EXPECT_NE(access(Path("state").c_str(), F_OK), 0);
}

TEST_F(DoctorTest, CommandThatItPrintsMendsTheFault) {
  UseDir(Path("bus"));
  ASSERT_EQ(Run("mkdir -m 755 $FIFOBUS_DIR").exit, 0);
  const json found = Examine();
  EXPECT_EQ(found["directory"]["verdict"], "wrong");
  ASSERT_EQ(Run(found["directory"]["command"].get<std::string>()).exit, 0);
  EXPECT_EQ(Examine()["directory"]["verdict"], "ok");
}

TEST_F(DoctorTest, StoppedBrokerIsNotWaitedForLongerThanAsked) {
  UseDir(Path("bus"));
  const auto broker = Spawn("exec fifobus serve", "serve");
  ASSERT_TRUE(WaitUntil([&] { return Run("fifobus ls").exit == 0; }));
  broker->Signal(SIGSTOP);
  const json found = Examine("--connect-timeout 100ms");
  broker->Signal(SIGCONT);
  EXPECT_EQ(found["broker"]["verdict"], "wrong");
  EXPECT_EQ(
      found["broker"]["command"],
      fmt::format("kill -CONT {0} && kill {0}; fifobus serve", broker->pid()));
}

TEST_F(DoctorTest, EachFindingIsOneLine) {
  UseDir(Path("a\nb"));
  const Outcome outcome = Run("fifobus doctor --dir '" + Path("a\nb") + "'");
  size_t lines = 0;
  size_t begin = 0;
  for (size_t end; (end = outcome.out.find('\n', begin)) != std::string::npos;
       begin = end + 1) {
    const std::string line = outcome.out.substr(begin, end - begin);
    EXPECT_TRUE(line.starts_with("ok ") || line.starts_with("note ") ||
                line.starts_with("wrong "))
        << line;
    if (line.starts_with("wrong ")) {
      EXPECT_NE(line.find("; run: "), std::string::npos) << line;
    }
    ++lines;
  }
  EXPECT_GE(lines, 12u);
}

TEST_F(DoctorTest, LogsAreReadBesideTheirBroker) {
  UseDir(Path("bus"));
  const auto broker =
      Spawn(fmt::format("exec fifobus serve --state-dir {} --log 'o=o/**'",
                        Path("state")),
            "serve");
  ASSERT_TRUE(WaitUntil([&] {
    return Run("fifobus pub o/1 tea --confirm=stored --timeout 1s").exit == 0;
  }));
  const json found = Examine();
  EXPECT_EQ(found["logs"]["verdict"], "ok") << found["logs"];
  EXPECT_EQ(found["broker's logs"]["text"], "all is well with 1 log");
  broker->Signal(SIGTERM);
  EXPECT_EQ(broker->Wait(), 0);
}

}  // namespace
}  // namespace fifobus
