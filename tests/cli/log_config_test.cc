// Logs in the configuration and on the command line of `serve`.

#include "clients/cli/serve/log_config.h"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "clients/cli/option_values.h"
#include "clients/cli/serve/config_file.h"
#include "fmt/format.h"
#include "gtest/gtest.h"
#include "tests/support/cli_support.h"

namespace fifobus {
namespace {

class LogConfigTest : public CliTest {
 protected:
  void WriteConfig(const std::string& text) const {
    std::ofstream(Path("bus.toml")) << text;
  }

  Outcome Check(const std::string& more = "") const {
    return Run(
        fmt::format("fifobus serve --state-dir {} --config {} --check {}",
                    Path("state"), Path("bus.toml"), more));
  }

  std::unique_ptr<Process> Serve(const std::string& more) {
    UseDir(Path("bus"));
    auto broker = Spawn(
        fmt::format("exec fifobus serve --dir \"$FIFOBUS_DIR\" --state-dir {} "
                    "{}",
                    Path("state"), more),
        "serve");
    EXPECT_TRUE(AwaitLog("ready"));
    return broker;
  }

  bool AwaitLog(const std::string& text) const {
    return WaitUntil([&] {
      return ReadFile(Path("serve.err")).find(text) != std::string::npos;
    });
  }

  bool HasFolder(const std::string& log) const {
    return std::filesystem::exists(Path("state/logs/" + log));
  }
};

TEST_F(LogConfigTest, EveryKeyIsTaken) {
  WriteConfig(R"(
[[log]]
name = "orders"
pattern = "orders/**"
keep-bytes = "1GiB"
keep-age = "7d"
keep-messages = 1000
keep-until = "done"
sync = "100ms"
on-full = "drop-oldest"
[[log]]
name = "all"
pattern = "**"
keep-bytes = 4096
sync = "always"
)");
  const auto file = cli::ReadConfigFile(Path("bus.toml"));
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_EQ(file->logs.size(), 2u);
  const LogRule& orders = file->logs[0];
  EXPECT_EQ(orders.name, "orders");
  EXPECT_EQ(orders.pattern, "orders/**");
  EXPECT_EQ(orders.keep_bytes, uint64_t{1} << 30);
  EXPECT_EQ(orders.keep_age, absl::Hours(7 * 24));
  EXPECT_EQ(orders.keep_messages, 1000u);
  EXPECT_EQ(orders.keep_until, LogRule::KeepUntil::kDone);
  EXPECT_EQ(orders.sync_interval, absl::Milliseconds(100));
  EXPECT_EQ(orders.on_full, LogRule::OnFull::kDropOldest);
  const LogRule& all = file->logs[1];
  EXPECT_EQ(all.keep_bytes, 4096u);
  EXPECT_EQ(all.keep_age, absl::ZeroDuration());
  EXPECT_EQ(all.keep_until, LogRule::KeepUntil::kLimits);
  EXPECT_EQ(all.sync_interval, absl::ZeroDuration());
  EXPECT_EQ(all.on_full, LogRule::OnFull::kWait);
}

TEST_F(LogConfigTest, EveryFaultIsNamedWithItsLineAndKey) {
  const std::string good = "[[log]]\nname = \"a\"\npattern = \"a/**\"\n";
  const struct {
    std::string text;
    const char* error;
  } cases[] = {
      {"[log]\nname = \"a\"", "a log begins with [[log]]"},
      {"log = [\"a=b\"]", ":1: a log begins with [[log]]"},
      {"[[log]]\npattern = \"a\"", ":1: this [[log]] has no name"},
      {"[[log]]\nname = \"a\"", ":1: this [[log]] has no pattern"},
      {"[[log]]\nname = 7\npattern = \"a\"", ":2: name must be a string"},
      {"[[log]]\nname = \"a/b\"\npattern = \"a\"",
       "a log's name is one level of a topic"},
      {"[[log]]\nname = \"..\"\npattern = \"a\"",
       "a log's name is one level of a topic"},
      {"[[log]]\nname = \"a\"\npattern = \"a//b\"", "the pattern has an empty"},
      {good + "keep-bytes = \"big\"", ":4: keep-bytes must be"},
      {good + "keep-bytes = 0", ":4: keep-bytes must be"},
      {good + "keep-bytes = -1", ":4: keep-bytes must be"},
      {good + "keep-age = 7", ":4: keep-age must be"},
      {good + "keep-age = \"-7d\"", ":4: keep-age must be"},
      {good + "keep-messages = \"many\"", ":4: keep-messages must be"},
      {good + "keep-until = \"read\"",
       ":4: keep-until must be \"limits\" or \"done\""},
      {good + "sync = \"never\"", ":4: sync must be \"always\""},
      {good + "on-full = \"stop\"",
       ":4: on-full must be \"wait\" or \"drop-oldest\""},
      {good + "keep = 1", ":4: a [[log]] has no \"keep\"; it may have name,"},
      {good + "[[log]]\nname = \"a\"\npattern = \"b\"",
       ":4: log \"a\": the name is given twice"},
  };
  for (const auto& c : cases) {
    WriteConfig(c.text);
    const Outcome checked = Check();
    EXPECT_EQ(checked.exit, 2) << c.text;
    EXPECT_EQ(checked.out, "") << c.text;
    EXPECT_TRUE(checked.err.starts_with("fifobus: " + Path("bus.toml") + ":"))
        << checked.err;
    EXPECT_NE(checked.err.find(c.error), std::string::npos) << c.text << "\n"
                                                            << checked.err;
    EXPECT_EQ(checked.err.find('\n'), checked.err.size() - 1) << checked.err;
  }
  EXPECT_FALSE(std::filesystem::exists(Path("state"))) << "it only checks";
}

TEST_F(LogConfigTest, TheOptionsFaultsAreWrongUsage) {
  for (const char* options :
       {"--log orders", "--log orders=a//b", "--log a/b=c",
        "--log a=b --log a=c", "--log '$a=b'", "--state-dir ''"}) {
    const Outcome outcome = Run(fmt::format("fifobus serve {}", options));
    EXPECT_EQ(outcome.exit, 2) << options;
    EXPECT_NE(outcome.err.find(std::string(options).substr(0, 5)),
              std::string::npos)
        << outcome.err;
  }
  WriteConfig("[[log]]\nname = \"a\"\npattern = \"a\"\n");
  EXPECT_NE(Check("--log a=b").err.find("the name is given twice"),
            std::string::npos);
}

TEST_F(LogConfigTest, CheckNamesTheLogsThatAnotherShadows) {
  WriteConfig(
      "[[log]]\nname = \"all\"\npattern = \"orders/**\"\n"
      "[[log]]\nname = \"new\"\npattern = \"orders/new\"\n"
      "[[log]]\nname = \"some\"\npattern = \"*/new\"\n");
  const Outcome checked = Check("--log 'first=x'");
  EXPECT_EQ(checked.exit, 0) << checked.err;
  EXPECT_NE(checked.out.find("log \"new\" stores nothing: log \"all\" stands "
                             "before it, and its pattern orders/** matches all "
                             "of orders/new\n"),
            std::string::npos)
      << checked.out;
  EXPECT_EQ(checked.out.find("\"some\""), std::string::npos)
      << "it only overlaps";
  EXPECT_NE(checked.out.find("good, 0 settings, 0 topics, 4 logs\n"),
            std::string::npos)
      << checked.out;
}

TEST_F(LogConfigTest, AStateDirectoryThatCannotBeUsedSaysWhatToDo) {
  WriteConfig("[[log]]\nname = \"a\"\npattern = \"a\"\n");
  std::ofstream(Path("state")) << "a file";
  const Outcome file = Check();
  EXPECT_EQ(file.exit, 2);
  EXPECT_EQ(file.err, fmt::format("fifobus: state-dir {0}: {0} is no "
                                  "directory\n",
                                  Path("state")));
  // Bazel's sandbox has /usr read-only, and so have users.
  if (access("/usr", W_OK) != 0) {
    const Outcome read_only =
        Run(fmt::format("fifobus serve --config {} --check --state-dir /usr/x",
                        Path("bus.toml")));
    EXPECT_EQ(read_only.exit, 2);
    EXPECT_TRUE(read_only.err.starts_with(
        "fifobus: state-dir /usr/x: /usr cannot be written ("))
        << read_only.err;
  }
  // Without a log nobody needs it.
  WriteConfig("");
  EXPECT_EQ(Check().exit, 0);
}

TEST_F(LogConfigTest, AnotherUsersStateDirectoryIsRefused) {
  WriteConfig("[[log]]\nname = \"a\"\npattern = \"a\"\n");
  std::filesystem::create_directory(Path("state"));
  if (chown(Path("state").c_str(), 4242, 4242) != 0) {
    GTEST_SKIP() << "needs root, and users";
  }
  EXPECT_EQ(Check().err,
            fmt::format("fifobus: state-dir {0}: {0} belongs to user 4242; run "
                        "the broker as that user, or name another directory\n",
                        Path("state")));
}

TEST_F(LogConfigTest, ServeOpensTheLogsOfTheCommandLineAndOfTheFile) {
  WriteConfig("[[log]]\nname = \"filed\"\npattern = \"filed/**\"\n");
  const auto broker = Serve(
      fmt::format("--log 'named=named/**' --config {}", Path("bus.toml")));
  EXPECT_TRUE(HasFolder("named"));
  EXPECT_TRUE(HasFolder("filed"));
  broker->Signal(SIGTERM);
  EXPECT_EQ(broker->Wait(), 0);
}

TEST_F(LogConfigTest, ASecondBrokerOfTheSameLogsIsRefused) {
  const auto broker = Serve("--log 'a=a'");
  const Outcome second =
      Run(fmt::format("fifobus serve --dir {} --state-dir {} --log 'a=a' "
                      "--log-level off",
                      Path("other"), Path("state")));
  EXPECT_EQ(second.exit, 1);
  EXPECT_NE(second.err.find("stop that one first"), std::string::npos)
      << second.err;
}

TEST_F(LogConfigTest, SighupAddsAndChangesLogsAndDeletesNone) {
  WriteConfig("");
  const auto broker = Serve(
      fmt::format("--log 'named=named/**' --config {}", Path("bus.toml")));
  WriteConfig("[[log]]\nname = \"orders\"\npattern = \"orders/**\"\n");
  broker->Signal(SIGHUP);
  ASSERT_TRUE(AwaitLog("configuration reloaded"));
  EXPECT_TRUE(HasFolder("orders"));
  // One that a reload takes out stays where it is, and that is said. What the
  // command line names stays in force.
  WriteConfig("[[log]]\nname = \"more\"\npattern = \"more\"\n");
  broker->Signal(SIGHUP);
  EXPECT_TRUE(AwaitLog("log not configured any more"));
  EXPECT_TRUE(AwaitLog("log=orders"));
  EXPECT_TRUE(HasFolder("orders"));
  EXPECT_TRUE(WaitUntil([&] { return HasFolder("more"); }));
  EXPECT_EQ(
      ReadFile(Path("serve.err")).find("not configured any more: log=named"),
      std::string::npos);
  // A bad one changes nothing.
  WriteConfig("[[log]]\nname = \"named\"\npattern = \"twice\"\n");
  broker->Signal(SIGHUP);
  EXPECT_TRUE(AwaitLog("the configuration is bad, the old one stays in force"));
  EXPECT_TRUE(AwaitLog("the name is given twice"));
  broker->Signal(SIGTERM);
  EXPECT_EQ(broker->Wait(), 0);
}

TEST(LogOptionValuesTest, BytesHaveUnits) {
  EXPECT_EQ(cli::ParseBytes("4096").value_or(0), 4096u);
  EXPECT_EQ(cli::ParseBytes("1GiB").value_or(0), uint64_t{1} << 30);
  EXPECT_EQ(cli::ParseBytes("3kB").value_or(0), 3000u);
  EXPECT_EQ(cli::ParseBytes("2TiB").value_or(0), uint64_t{2} << 40);
  for (const char* text : {"", "0", "GiB", "1 GiB", "1gib", "-1", "1.5GiB",
                           "99999999999999999999", "2000000TiB"}) {
    EXPECT_FALSE(cli::ParseBytes(text).ok()) << text;
  }
}

TEST(LogOptionValuesTest, AgesKnowDays) {
  EXPECT_EQ(cli::ParseAge("7d").value_or(absl::ZeroDuration()),
            absl::Hours(168));
  EXPECT_EQ(cli::ParseAge("1h30m").value_or(absl::ZeroDuration()),
            absl::Minutes(90));
  for (const char* text : {"", "d", "7", "0d", "1us", "inf", "-1s", "99999d"}) {
    EXPECT_FALSE(cli::ParseAge(text).ok()) << text;
  }
}

}  // namespace
}  // namespace fifobus
