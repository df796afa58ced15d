// The configuration file: what is refused, and what it does to a running bus.

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <string>

#include "clients/cli/serve/config_file.h"
#include "clients/cli/serve/serve_options.h"
#include "fmt/format.h"
#include "gtest/gtest.h"
#include "tests/support/bus_support.h"
#include "tests/support/cli_support.h"
#include "tests/support/process.h"

namespace fifobus {
namespace {

class ConfigTest : public CliTest {
 protected:
  void WriteConfig(const std::string& text) const {
    std::ofstream(Path("bus.toml")) << text;
  }

  std::unique_ptr<Process> Serve(const std::string& more = "") {
    UseDir(bus_.path() + "/bus");
    auto broker = Spawn(
        fmt::format("exec fifobus serve --dir \"$FIFOBUS_DIR\" --config {} {}",
                    Path("bus.toml"), more),
        "serve");
    EXPECT_TRUE(AwaitLog("ready"));
    return broker;
  }

  bool AwaitLog(const std::string& text) const {
    return WaitUntil([&] {
      return ReadFile(Path("serve.err")).find(text) != std::string::npos;
    });
  }

  std::string BusPath(const std::string& name) const {
    return bus_.path() + "/bus/" + name;
  }

 private:
  const TempDir bus_;
};

// This user's name for himself, and one who is not here.
std::string Me() { return fmt::format("\"{}\"", getuid()); }
constexpr char kOther[] = "\"4242\"";

TEST_F(ConfigTest, EveryFaultIsNamedWithItsLine) {
  const struct {
    const char* text;
    const char* error;
  } cases[] = {
      {"workers = [", ":1: "},
      {"[.a]", ":1: "},
      {"\n[[", ":2: "},
      {"\nqueue-byte = 1", ":2: there is no setting \"queue-byte\""},
      {"queue_bytes = 1", ":1: there is no setting"},
      {"check = true", ":1: there is no setting"},
      {"queue-bytes = \"many\"", ":1: "},
      {"queue-bytes = 0", ":1: "},
      {"stall-timeout = \"soon\"", ":1: "},
      {"overflow-allowed = []", ":1: "},
      {"history = [\"a//b=3\"]", ":1: "},
      {"[topic]\npattern = \"a\"", "[[topic]]"},
      {"[[topic]]\noverflow = \"latest\"", ":1: this [[topic]] has no pattern"},
      {"[[topic]]\npattern = 7", ":2: pattern must be a string"},
      {"[[topic]]\npattern = \"a//b\"", "has an empty level"},
      {"[[topic]]\npattern = \"a\"\noverflow = \"block\"", ":3: overflow must"},
      {"[[topic]]\npattern = \"a\"\nhistory = -1", ":3: history must be"},
      {"[[topic]]\npattern = \"a\"\nretain = \"no\"", ":3: retain must be"},
      {"[[topic]]\npattern = \"a\"\ntap-mode = 620", ":3: tap-mode must be"},
      {"[[topic]]\npattern = \"a\"\ntap-mode = \"9\"", ":3: tap-mode must be"},
      {"[[topic]]\npattern = \"a/*\"\ncreate = true", ":1: "},
      {"[[topic]]\npattern = \"a\"\npublish = \"*\"", ":3: publish must be"},
      {"[[topic]]\npattern = \"a\"\npublish = [1]", ":3: publish must be"},
      {"[[topic]]\npattern = \"a\"\npublish = [\"no such\"]",
       ":3: there is no"},
      {"[[topic]]\npattern = \"a\"\npublish = [\"@no such\"]",
       ":3: there is no group"},
      {"[[topic]]\npattern = \"a\"\nallow = []", ":3: a [[topic]] has no"},
  };
  for (const auto& c : cases) {
    WriteConfig(c.text);
    const Outcome checked =
        Run(fmt::format("fifobus serve --config {} --check", Path("bus.toml")));
    EXPECT_EQ(checked.exit, 2) << c.text;
    EXPECT_EQ(checked.out, "") << c.text;
    EXPECT_TRUE(checked.err.starts_with("fifobus: " + Path("bus.toml") + ":"))
        << checked.err;
    EXPECT_NE(checked.err.find(c.error), std::string::npos) << c.text << "\n"
                                                            << checked.err;
    EXPECT_EQ(checked.err.find('\n'), checked.err.size() - 1) << checked.err;
  }
  EXPECT_EQ(Run("fifobus serve --config /nonexistent --check").exit, 2);
  EXPECT_EQ(Run("fifobus serve --check").exit, 2) << "of what?";
}

TEST_F(ConfigTest, TheCommandLineWins) {
  WriteConfig(
      "queue-bytes = 4096\nqueue-messages = 7\nstall-timeout = \"2s\"\n"
      "pipes-bytes = 0");
  cli::Command serve("serve", "");
  cli::ServeOptions options;
  cli::AddServeOptions(serve, options);
  ASSERT_TRUE(serve.Parse({"--queue-bytes", "8192"}).ok());
  const auto file = cli::ReadConfigFile(Path("bus.toml"));
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_TRUE(cli::ApplySettings(*file, serve).ok());
  EXPECT_EQ(options.broker.egress_queue_bytes_max, 8192u);
  EXPECT_EQ(options.broker.egress_queue_messages_max, 7u);
  EXPECT_EQ(options.broker.stall_timeout, absl::Seconds(2));
  EXPECT_EQ(options.broker.grown_pipes_bytes_max, 0u);
}

TEST_F(ConfigTest, TopicsAreMadeWithTheirModes) {
  WriteConfig(
      "[[topic]]\npattern = \"a/b\"\ncreate = true\n"
      "[[topic]]\npattern = \"a/*\"\ntap-mode = \"0620\"");
  const auto broker = Serve();
  struct stat status = {};
  EXPECT_TRUE(WaitUntil([&] {
    return stat(BusPath("topics/a/b.in").c_str(), &status) == 0 &&
           (status.st_mode & 0777) == 0620;
  }));
  EXPECT_TRUE(S_ISFIFO(status.st_mode));
  // For those that others make as well.
  EXPECT_EQ(Run("mkdir -p $FIFOBUS_DIR/topics/a/c.out && "
                "mkfifo $FIFOBUS_DIR/topics/a/c.out/me")
                .exit,
            0);
  EXPECT_TRUE(WaitUntil([&] {
    return stat(BusPath("topics/a/c.out/me").c_str(), &status) == 0 &&
           (status.st_mode & 0777) == 0620;
  }));
}

TEST_F(ConfigTest, WhatNoRuleAllowsIsDenied) {
  WriteConfig(
      fmt::format("[[topic]]\npattern = \"mine/**\"\n"
                  "publish = [{0}]\nsubscribe = [{0}]\n"
                  "[[topic]]\npattern = \"theirs/**\"\n"
                  "publish = [{1}]\nsubscribe = [{1}]\n",
                  Me(), kOther));
  const auto broker = Serve();
  EXPECT_EQ(Run("fifobus pub mine/a x --confirm").exit, 0);
  for (const char* command :
       {"fifobus pub other x --confirm", "fifobus pub other x",
        "yes | head -c 1000000 | fifobus pub other",
        "fifobus pub theirs/other x"}) {
    const Outcome denied = Run(command);
    EXPECT_EQ(denied.exit, 1) << command;
    EXPECT_NE(denied.err.find("may not publish on"), std::string::npos)
        << denied.err;
    EXPECT_NE(denied.err.find("other"), std::string::npos) << denied.err;
  }
  for (const char* pattern : {"theirs/a", "**", "other", "$sys/**"}) {
    for (const char* group : {"", "--group g"}) {
      const Outcome denied =
          Run(fmt::format("fifobus sub '{}' {} --timeout 10s", pattern, group));
      EXPECT_EQ(denied.exit, 1) << pattern;
      EXPECT_NE(denied.err.find("may not subscribe to"), std::string::npos)
          << denied.err;
    }
  }
  EXPECT_EQ(Run("fifobus sub 'mine/*' --timeout 50ms").exit, 3);
  const Outcome will =
      Run("fifobus sub mine/a --will-topic theirs/a "
          "--will-payload x --timeout 10s");
  EXPECT_EQ(will.exit, 1) << will.err;
}

TEST_F(ConfigTest, TapsAreDeniedAsWell) {
  WriteConfig(
      fmt::format("[[topic]]\npattern = \"mine\"\n"
                  "publish = [{0}]\nsubscribe = [{0}]\n",
                  Me()));
  const auto broker = Serve();
  EXPECT_EQ(Run("mkdir -p $FIFOBUS_DIR/topics/other.out && "
                "mkfifo $FIFOBUS_DIR/topics/other.out/me")
                .exit,
            0);
  EXPECT_TRUE(AwaitLog("does not let its owner subscribe"));
  // Nobody subscribes, so it takes half a pipe until the lines are read.
  EXPECT_EQ(
      Run("p=$(fifobus path other) && yes line | head -c 60000 > $p").exit, 0);
  EXPECT_TRUE(AwaitLog("does not let the FIFO's owner publish"));
  EXPECT_EQ(Run("fifobus pub mine x --confirm").exit, 0);
}

TEST_F(ConfigTest, SighupPutsTopicsInForceAndTheOthersStay) {
  WriteConfig("");
  const auto broker = Serve();
  const auto stays = Spawn("fifobus sub a/b -n 2", "stays");
  const auto ends = Spawn("fifobus sub 'secret/*'", "ends");
  EXPECT_EQ(Run("fifobus pub a/b 1 --wait-subscribers 1 --timeout 20s && "
                "fifobus pub secret/x 1 --wait-subscribers 1 --timeout 20s")
                .exit,
            0);
  WriteConfig(
      fmt::format("[[topic]]\npattern = \"a/*\"\nhistory = 2\n"
                  "publish = [\"*\"]\nsubscribe = [{}]\n",
                  Me()));
  broker->Signal(SIGHUP);
  EXPECT_TRUE(AwaitLog("configuration reloaded"));
  EXPECT_EQ(ends->Wait(), 1);
  EXPECT_NE(ReadFile(Path("ends.err")).find("may not subscribe to"),
            std::string::npos);
  EXPECT_EQ(Run("fifobus pub a/b 2 --confirm").exit, 0);
  EXPECT_EQ(stays->Wait(), 0);
  EXPECT_EQ(ReadFile(Path("stays")), "1\n2\n");
  EXPECT_EQ(Run("fifobus sub a/b -n 1").out, "2\n") << "history";
  EXPECT_EQ(Run("fifobus pub secret/x 2 --confirm").exit, 1);
}

TEST_F(ConfigTest, ABadFileKeepsTheOldRulesAloud) {
  WriteConfig(
      fmt::format("[[topic]]\npattern = \"a\"\npublish = [{}]\n", kOther));
  const auto broker = Serve();
  EXPECT_EQ(Run("fifobus pub a x --confirm").exit, 1);
  WriteConfig("[[topic]]\npattern = \"a\"\npublish = \"*\"\n");
  broker->Signal(SIGHUP);
  EXPECT_TRUE(AwaitLog("the configuration is bad, the old one stays in force"));
  EXPECT_TRUE(AwaitLog("bus.toml:3: publish must be a list"));
  EXPECT_EQ(Run("fifobus pub a x --confirm").exit, 1);
  // What is not about topics is not taken before a restart, and that is said.
  WriteConfig("queue-bytes = 4096\n");
  broker->Signal(SIGHUP);
  EXPECT_TRUE(AwaitLog("other settings take a restart"));
  EXPECT_EQ(Run("fifobus pub a x --confirm").exit, 0);
}

TEST_F(ConfigTest, SighupStopsABrokerWithoutAFile) {
  UseDir(Path("bus"));
  const auto broker =
      Spawn("exec fifobus serve --dir \"$FIFOBUS_DIR\"", "serve");
  EXPECT_TRUE(AwaitLog("ready"));
  broker->Signal(SIGHUP);
  EXPECT_EQ(broker->Wait(), 0);
}

TEST_F(ConfigTest, TheTopicsPolicyIsThatOfWhoAsksForNone) {
  WriteConfig(
      "stall-timeout = \"10ms\"\n[[topic]]\npattern = \"a\"\n"
      "overflow = \"latest\"\nqueue-bytes = 65536\n");
  const auto broker = Serve();
  const auto usual = Spawn("fifobus sub a --timeout 20s", "usual");
  const auto chosen =
      Spawn("fifobus sub a --overflow drop-newest --timeout 20s", "chosen");
  EXPECT_EQ(Run("mkdir -p $FIFOBUS_DIR/topics/a.out && "
                "mkfifo $FIFOBUS_DIR/topics/a.out/me && "
                "fifobus pub a x --wait-subscribers 3 --timeout 20s")
                .exit,
            0);
  const std::string sessions = Run("fifobus ls --json").out;
  EXPECT_NE(sessions.find("\"overflow\":\"latest\""), std::string::npos)
      << sessions;
  EXPECT_NE(sessions.find("\"overflow\":\"drop-newest\""), std::string::npos)
      << sessions;
}

}  // namespace
}  // namespace fifobus
