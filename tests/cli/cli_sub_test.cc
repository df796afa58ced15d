// What `fifobus sub` does with messages: templates, commands, and how all of it
// ends.

#include <signal.h>

#include <string>

#include "absl/strings/str_split.h"
#include "clients/cpp/client.h"
#include "fmt/format.h"
#include "gtest/gtest.h"
#include "tests/support/bus_support.h"
#include "tests/support/cli_support.h"
#include "tests/support/process.h"

namespace fifobus {
namespace {

class CliSubTest : public CliTest {
 protected:
  CliSubTest() { Use(bus_); }

  // Runs a sub and, when it is subscribed, what feeds it.
  Outcome Feed(const std::string& sub, const std::string& feed) const {
    // Not mistaken for the one before.
    AwaitSubscribers(bus_, 0);
    const auto subscriber = Spawn(sub, "sub");
    AwaitSubscribers(bus_, 1);
    EXPECT_EQ(Run(feed).exit, 0) << feed;
    Outcome outcome;
    outcome.exit = subscriber->Wait();
    outcome.out = ReadFile(Path("sub"));
    outcome.err = ReadFile(Path("sub.err"));
    return outcome;
  }

  // Publishes until a file has something: what a process says at its end.
  void PublishUntilWritten(const std::string& name) const {
    const auto client = bus_.Connect();
    EXPECT_TRUE(WaitUntil([&] {
      (void)client->Publish("a", "more");
      return !ReadFile(Path(name)).empty();
    }));
  }

  // Waits until a file holds the number of a process; returns it.
  pid_t AwaitPid(const std::string& name) const {
    EXPECT_TRUE(
        WaitUntil([&] { return ReadFile(Path(name)).ends_with('\n'); }));
    return std::stoi(ReadFile(Path(name)));
  }

  const TestBus bus_;
};

TEST_F(CliSubTest, ATemplateSaysWhatIsPrinted) {
  const Outcome outcome = Feed(
      "fifobus sub '**' -n 2 --format '{topic} {sequence} "
      "{header:unit}:{payload}\\n'",
      "fifobus pub a/b 21 --header unit=C; fifobus pub c x");
  EXPECT_EQ(outcome.exit, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "a/b 1 C:21\nc 1 :x\n");
}

TEST_F(CliSubTest, ABadTemplateIsWrongUsageAndNamesThePlace) {
  const Outcome outcome = Run("fifobus sub a --format 'x{topc}'");
  EXPECT_EQ(outcome.exit, 2);
  EXPECT_NE(outcome.err.find("at character 2: {topc}"), std::string::npos)
      << outcome.err;
}

TEST_F(CliSubTest, NulsMayStandBetweenPayloads) {
  const Outcome outcome = Feed("fifobus sub a -n 2 -0",
                               "printf 'one\\nline' | fifobus pub a --raw; "
                               "fifobus pub a two");
  EXPECT_EQ(outcome.out, std::string("one\nline\0two\0", 13)) << outcome.err;
}

TEST_F(CliSubTest, ATimeoutEndsItAlsoIfThereIsAlwaysAnotherMessage) {
  const auto flood = Spawn("exec fifobus pub a x --repeat 0", "flood");
  EXPECT_EQ(Run("fifobus sub a --timeout 100ms > /dev/null").exit, 3);
  EXPECT_EQ(
      Run("fifobus sub a --timeout 100ms --exec-stream 'cat >/dev/null'").exit,
      3);
  EXPECT_EQ(Run("fifobus sub b -n 1 --timeout 20ms").exit, 3);
  EXPECT_EQ(Run("fifobus sub a -n 1 --timeout 60s").exit, 0);
}

TEST_F(CliSubTest, ACommandGetsAMessageAndItsMetadata) {
  const Outcome outcome = Feed(
      "FIFOBUS_HEADER_OLD=outer FIFOBUS_TOPIC=outer exec "
      "fifobus sub '**' -n 2 --exec 'cat; echo \" $FIFOBUS_TOPIC "
      "$FIFOBUS_SEQUENCE $FIFOBUS_HEADER_TRACE_ID $FIFOBUS_CONTENT_TYPE "
      "$FIFOBUS_RETAINED $FIFOBUS_DELIVERY_COUNT "
      "${FIFOBUS_HEADER_OLD-none} ${#FIFOBUS_PUBLISH_TIME_UNIX_NANOS}\"'",
      "fifobus pub a/b x --header trace-id=7 --content-type text/plain; "
      "fifobus pub c y");
  EXPECT_EQ(outcome.exit, 0) << outcome.err;
  EXPECT_EQ(outcome.out,
            "x a/b 1 7 text/plain 0 0 none 19\n"
            "y c 1   0 0 none 19\n");
}

TEST_F(CliSubTest, ACommandMayGetJson) {
  const Outcome outcome =
      Feed("fifobus sub a -n 1 --json --exec 'cut -c 1-12'", "fifobus pub a x");
  EXPECT_EQ(outcome.out, "{\"topic\":\"a\"\n");
}

TEST_F(CliSubTest, ACommandNeedNotReadAndInheritsNothing) {
  // Larger than any pipe, to one who never reads and one who does not want it.
  const std::string large = "head -c 3000000 /dev/zero | fifobus pub a --raw";
  EXPECT_EQ(Feed("fifobus sub a -n 1 --exec 'exec <&-; sleep 0.1'", large).err,
            "");
  EXPECT_EQ(Feed("fifobus sub a -n 1 --exec true", large).exit, 0);
  EXPECT_EQ(Feed("fifobus sub a -n 1 --exec 'wc -c'", large).out, "3000000\n");
  EXPECT_EQ(Feed("fifobus sub a -n 1 --exec 'exec ls /proc/self/fd'",
                 "fifobus pub a x")
                .out,
            "0\n1\n2\n3\n")
      << "3 is the folder";
  // sub itself ignores SIGPIPE, which is signal 13, and blocks others.
  EXPECT_EQ(Feed("fifobus sub a -n 1 --exec 'grep SigBlk: /proc/self/status; "
                 "echo $((0x$(sed -n s/SigIgn:.//p /proc/self/status) >> 12 & "
                 "1))'",
                 "fifobus pub a x")
                .out,
            "SigBlk:\t0000000000000000\n0\n");
}

TEST_F(CliSubTest, AFailingCommandIsReportedAndMayEndIt) {
  const std::string feed = "fifobus pub a/b x; fifobus pub a/b y";
  const std::string sub = "fifobus sub a/b -n 2 --exec 'cat; exit 7'";
  Outcome outcome = Feed(sub, feed);
  EXPECT_EQ(outcome.exit, 0);
  EXPECT_EQ(outcome.out, "xy");
  const std::string line =
      "fifobus: a/b sequence=1: the command ended with exit status 7\n";
  EXPECT_EQ(outcome.err, line + line);
  outcome = Feed(sub + " --fail-on-error", feed);
  EXPECT_EQ(outcome.exit, 1);
  EXPECT_EQ(outcome.out, "x");
  outcome = Feed("fifobus sub a/b -n 2 --exec 'kill -9 $$'", feed);
  EXPECT_NE(outcome.err.find("ended with signal 9"), std::string::npos);
}

TEST_F(CliSubTest, InAGroupAFailingCommandGetsItsMessageAgain) {
  const Outcome outcome = Feed(
      "fifobus sub a -n 3 --group g --ack --exec "
      "'cat; echo \" $FIFOBUS_DELIVERY_COUNT\"; "
      "test $FIFOBUS_DELIVERY_COUNT = 3'",
      "fifobus pub a x");
  EXPECT_EQ(outcome.exit, 0);
  EXPECT_EQ(outcome.out, "x 1\nx 2\nx 3\n") << outcome.err;
  EXPECT_EQ(Run("fifobus sub a -n 1 --group g --ack --timeout 50ms").exit, 3)
      << "the third time was acknowledged";
}

TEST_F(CliSubTest, ASignalEndsTheCommandsAsWell) {
  for (const char* option : {"--exec", "--exec-stream"}) {
    Run("rm -f " + Path("pid"));
    AwaitSubscribers(bus_, 0);
    const auto sub =
        Spawn(fmt::format("exec fifobus sub a {} 'echo $$ > {}; exec 0<&-; "
                          "trap \"\" TERM; sleep 1000; true'",
                          option, Path("pid")),
              "sub");
    AwaitSubscribers(bus_, 1);
    EXPECT_EQ(Run("fifobus pub a x").exit, 0);
    const pid_t child = AwaitPid("pid");
    sub->Signal(SIGTERM);
    EXPECT_TRUE(WaitUntil([&] {
      sub->Signal(SIGTERM);  // the second one does not wait for the stream
      return kill(-child, 0) != 0;
    })) << option;
    EXPECT_EQ(sub->Wait(), -SIGTERM) << option;
  }
}

TEST_F(CliSubTest, OneCommandGetsAllMessages) {
  const Outcome outcome =
      Feed("fifobus sub a -n 3 --exec-stream 'sort -r; echo done'",
           "printf '1\\n2\\n3\\n' | fifobus pub a");
  EXPECT_EQ(outcome.exit, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "3\n2\n1\ndone\n");
  EXPECT_EQ(Feed("fifobus sub a -n 2 --exec-stream 'wc -c'",
                 "head -c 3000000 /dev/zero | fifobus pub a --raw; "
                 "fifobus pub a x")
                .out,
            "3000003\n");
}

TEST_F(CliSubTest, SubEndsWithItsStream) {
  // By itself, without another message.
  Outcome outcome =
      Feed("fifobus sub a --exec-stream 'head -n 1'", "fifobus pub a x");
  EXPECT_EQ(outcome.exit, 0);
  EXPECT_EQ(outcome.out, "x\n");
  EXPECT_EQ(outcome.err, "");
  outcome = Feed("fifobus sub a --exec-stream 'read line; exit 7'",
                 "fifobus pub a x");
  EXPECT_EQ(outcome.exit, 1);
  EXPECT_EQ(outcome.err, "fifobus: the command ended with exit status 7\n");
  // Blocked by a command that does not read, too.
  const auto flood = Spawn("exec fifobus pub b x --repeat 0", "flood");
  EXPECT_EQ(Run("fifobus sub b --exec-stream 'sleep 0.3; exit 7'").exit, 1);
  EXPECT_EQ(Run("fifobus sub b --timeout 100ms --exec-stream 'sleep 0.5'").exit,
            3);
}

TEST_F(CliSubTest, ASignalLetsAStreamFinish) {
  const auto sub =
      Spawn("exec fifobus sub a --exec-stream 'cat; echo done'", "sub");
  AwaitSubscribers(bus_, 1);
  EXPECT_EQ(Run("fifobus pub a x").exit, 0);
  EXPECT_TRUE(WaitUntil([&] { return ReadFile(Path("sub")) == "x\n"; }));
  sub->Signal(SIGINT);
  EXPECT_EQ(sub->Wait(), -SIGINT);
  EXPECT_EQ(ReadFile(Path("sub")), "x\ndone\n");
}

TEST_F(CliSubTest, ASignalIsNotLostInAFlood) {
  const auto flood = Spawn("exec fifobus pub a x --repeat 0", "flood");
  for (const char* option : {"--exec true", "--exec-stream 'exec cat'"}) {
    const auto sub =
        Spawn(fmt::format("exec fifobus sub a {} > /dev/null", option), "sub");
    AwaitSubscribers(bus_, 1);
    sub->Signal(SIGTERM);
    EXPECT_EQ(sub->Wait(), -SIGTERM) << option;
    AwaitSubscribers(bus_, 0);
  }
}

TEST_F(CliSubTest, EverythingEndsQuietlyWhenItsReaderGoesAway) {
  for (const char* options :
       {"", "--json", "-0", "--format '{topic}\\n'", "--exec 'cat; echo'",
        "--exec-stream 'exec cat'"}) {
    Run("rm -f " + Path("head.err"));
    const auto pipeline =
        Spawn(fmt::format("(fifobus sub a {}; echo \"ended with $?\" >&2) | "
                          "head -c 1 > /dev/null",
                          options),
              "head");
    AwaitSubscribers(bus_, 1);
    PublishUntilWritten("head.err");
    EXPECT_EQ(pipeline->Wait(), 0);
    EXPECT_EQ(ReadFile(Path("head.err")), "ended with 0\n") << options;
  }
}

TEST_F(CliSubTest, CommandsEndWithoutAnotherMessageWhenTheirReaderIsGone) {
  for (const char* option : {"--exec 'cat; echo'", "--exec-stream cat"}) {
    const Outcome outcome =
        Feed(fmt::format("(fifobus sub a {}; echo $? >&2) | head -n 1", option),
             "fifobus pub a x");
    EXPECT_EQ(outcome.out, "x\n") << option;
    EXPECT_EQ(outcome.err, "0\n") << option;
  }
}

TEST_F(CliSubTest, OptionsThatDoNotGoTogetherAreWrongUsage) {
  for (const char* options :
       {"--exec true --exec-stream cat", "--exec true --raw",
        "--exec true --busy-poll", "--fail-on-error", "--format x --json",
        "-0 --raw", "--exec"}) {
    EXPECT_EQ(Run(fmt::format("fifobus sub a {}", options)).exit, 2) << options;
  }
}

}  // namespace
}  // namespace fifobus
