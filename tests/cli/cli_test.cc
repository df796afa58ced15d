// The command line as shells see it: exit codes, outputs, pipes, start order.

#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "clients/cpp/client.h"
#include "fmt/format.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "proto/version.h"
#include "tests/support/bus_support.h"
#include "tests/support/cli_support.h"
#include "tests/support/process.h"

namespace fifobus {
namespace {

using ::nlohmann::json;

TEST_F(CliTest, HelpNamesEveryCommandAndExitsWithZero) {
  const Outcome help = Run("fifobus --help");
  EXPECT_EQ(help.exit, 0);
  for (const char* command :
       {"serve", "pub", "sub", "req", "reply", "path", "ls", "bench"}) {
    EXPECT_NE(help.out.find(command), std::string::npos) << command;
    EXPECT_EQ(Run(fmt::format("fifobus {} --help", command)).exit, 0);
  }
  EXPECT_EQ(Run("fifobus --version").out, std::string(kVersion) + "\n");
}

TEST_F(CliTest, WrongUsageExitsWithTwoAndSaysWhatIsWrong) {
  for (const char* command :
       {"fifobus", "fifobus nonsense", "fifobus pub", "fifobus sub",
        "fifobus sub a --timeout soon", "fifobus sub a --json --raw",
        "fifobus sub a --non-blocking --busy-poll", "fifobus sub a -n 0",
        "fifobus pub a b --raw", "fifobus serve --workers 0",
        "fifobus pub a b --header nonsense", "fifobus sub a --ack",
        "fifobus sub a --overflow maybe", "fifobus sub a --will-payload x",
        "fifobus reply a", "fifobus req",
        "fifobus bench pub a --count 1 --size 15"}) {
    const Outcome outcome = Run(command);
    EXPECT_EQ(outcome.exit, 2) << command;
    EXPECT_FALSE(outcome.err.empty()) << command;
    EXPECT_TRUE(outcome.out.empty()) << command << outcome.out;
  }
}

TEST_F(CliTest, WrongUsageNamesWhatIsWrongAndWhatWasMeant) {
  const struct {
    const char* command;
    const char* error;
  } cases[] = {
      {"publish a x",
       "fifobus has no command \"publish\"; did you mean "
       "fifobus pub?\n"},
      {"subscribe a", "did you mean fifobus sub?\n"},
      {"sreve", "did you mean fifobus serve?\n"},
      {"nonsense", "fifobus has no command \"nonsense\"\n"},
      {"bench publish a",
       "fifobus bench has no command \"publish\"; did you "
       "mean fifobus bench pub?\n"},
      {"", "A subcommand is required\n"},
      {"pub a -x", "not expected: -x; text that begins with - goes behind --"},
      {"sub a --overflow maybe",
       "--overflow: \"maybe\" is none of drop-oldest, "
       "drop-newest, latest, disconnect, block\n"},
      {"sub a --overflow 1", "--overflow: \"1\" is none of"},
      {"sub a -n 0", "--count: \"0\" is not a whole number of at least 1\n"},
      {"sub a -n -1", "--count: \"-1\" is not a whole number"},
      {"sub a --timeout soon", "--timeout: \"soon\" is not a duration"},
      {"serve --workers 2000",
       "--workers: \"2000\" is not a whole number from "
       "1 to 1024\n"},
  };
  for (const auto& one : cases) {
    const Outcome outcome = Run(fmt::format("fifobus {}", one.command));
    EXPECT_EQ(outcome.exit, 2) << one.command;
    EXPECT_NE(outcome.err.find(one.error), std::string::npos)
        << one.command << ": " << outcome.err;
  }
}

TEST_F(CliTest, HelpNamesTheChoicesOfAnOption) {
  const std::string sub = Run("fifobus sub --help").out;
  EXPECT_NE(sub.find("--overflow POLICY:{drop-oldest,drop-newest,latest,"
                     "disconnect,block}"),
            std::string::npos)
      << sub;
  EXPECT_EQ((sub + Run("fifobus serve --help").out).find("->"),
            std::string::npos);
}

TEST_F(CliTest, WildcardsOfOthersAreAnsweredWithThoseOfFifobus) {
  const TestBus bus;
  Use(bus);
  for (const char* command :
       {"sub 'a/#'", "sub 'a/+/b'", "sub 'a.>'", "sub 'a.*'",
        "sub a 'b/#' --exec cat", "reply 'a/+' --exec cat",
        "serve --dir /nonexistent --history 'a/#=3'"}) {
    const Outcome outcome = Run(fmt::format("fifobus {}", command));
    EXPECT_NE(outcome.exit, 0) << command;
    EXPECT_NE(outcome.err.find("a level that is * matches any one, and ** as "
                               "the last level matches all that are left"),
              std::string::npos)
        << command << ": " << outcome.err;
  }
}

TEST_F(CliTest, WithoutABrokerTheErrorNamesThePlaceAndWhatToDo) {
  const Outcome outcome = Run("fifobus pub a x --connect-timeout 0");
  EXPECT_EQ(outcome.exit, 1);
  EXPECT_NE(outcome.err.find("/nonexistent"), std::string::npos);
  EXPECT_NE(outcome.err.find("fifobus serve"), std::string::npos);
}

TEST_F(CliTest, InvalidTopicsAreRefusedWithTheReason) {
  const TestBus bus;
  Use(bus);
  for (const char* command :
       {"fifobus pub 'a b' x", "fifobus pub 'a/*' x", "fifobus pub '$sys/a' x",
        "fifobus sub 'a/**/b' -n 1", "fifobus path '../a'",
        "fifobus path '$sys/a'"}) {
    const Outcome outcome = Run(command);
    EXPECT_EQ(outcome.exit, 1) << command;
    EXPECT_EQ(
        std::vector<std::string>(absl::StrSplit(outcome.err, '\n')).size(), 2u)
        << "one line: " << outcome.err;
  }
}

TEST_F(CliTest, TheOrderOfStartIsFree) {
  const TempDir dir;
  UseDir(dir.path() + "/bus");
  const auto subscriber =
      Spawn("fifobus sub a -n 1 --connect-timeout 60s", "s");
  const auto publisher = Spawn(
      "until fifobus ls --json | grep -q '\"patterns\":\\[\"a\"\\]'; do "
      "sleep 0.01; done; fifobus pub a 'Hello World!'",
      "p");
  const auto broker = Spawn("exec fifobus serve", "b");
  EXPECT_EQ(publisher->Wait(), 0);
  EXPECT_EQ(subscriber->Wait(), 0);
  EXPECT_EQ(ReadFile(Path("s")), "Hello World!\n");
}

TEST_F(CliTest, EachLineOfInputIsAMessageAndTheLastNeedsNoNewline) {
  const TestBus bus;
  Use(bus);
  const auto client = bus.Subscribe("a");
  EXPECT_EQ(Run("printf 'one\\n\\nthree' | fifobus pub a").exit, 0);
  EXPECT_EQ(ReceivePayloads(*client, 3),
            (std::vector<std::string>{"one", "", "three"}));
  EXPECT_EQ(Run("printf 'one\\ntwo\\n' | fifobus pub a --raw").exit, 0);
  EXPECT_EQ(Run("fifobus pub a ''").exit, 0);
  EXPECT_EQ(ReceivePayloads(*client, 2),
            (std::vector<std::string>{"one\ntwo\n", ""}));
}

TEST_F(CliTest, ALineIsPublishedWhenItIsWrittenNotWhenTheInputEnds) {
  const TestBus bus;
  Use(bus);
  const auto client = bus.Subscribe("a");
  MakeFifo(Path("rest"));
  const auto publisher = Spawn(
      fmt::format("(echo one; cat {}) | fifobus pub a", Path("rest")), "p");
  EXPECT_EQ(ReceivePayloads(*client, 1), std::vector<std::string>{"one"});
  EXPECT_EQ(Run(fmt::format("echo two > {}", Path("rest"))).exit, 0);
  EXPECT_EQ(ReceivePayloads(*client, 1), std::vector<std::string>{"two"});
  EXPECT_EQ(publisher->Wait(), 0);
}

TEST_F(CliTest, SubPrintsPayloadsTopicsAndJson) {
  const TestBus bus;
  Use(bus);
  const auto plain = Spawn("fifobus sub 'a/*' b -n 2", "plain");
  const auto topics = Spawn("fifobus sub '**' -n 2 --show-topic", "topics");
  const auto raw = Spawn("fifobus sub '**' -n 2 --raw", "raw");
  const auto object = Spawn("fifobus sub '**' -n 2 --json", "json");
  AwaitSubscribers(bus, 4);
  EXPECT_EQ(Run("fifobus pub a/x one; fifobus pub b two").exit, 0);
  for (const auto* process : {&plain, &topics, &raw, &object}) {
    EXPECT_EQ((*process)->Wait(), 0);
  }
  EXPECT_EQ(ReadFile(Path("plain")), "one\ntwo\n");
  EXPECT_EQ(ReadFile(Path("topics")), "a/x one\nb two\n");
  EXPECT_EQ(ReadFile(Path("raw")), "onetwo");
  const std::vector<std::string> lines =
      absl::StrSplit(ReadFile(Path("json")), '\n');
  ASSERT_EQ(lines.size(), 3u);
  const json first = json::parse(lines[0]);
  EXPECT_EQ(first["topic"], "a/x");
  EXPECT_EQ(first["payload"], "one");
  EXPECT_EQ(first["sequence"], 1);
}

TEST_F(CliTest, EveryModeReceives) {
  const TestBus bus;
  Use(bus);
  const auto blocking = Spawn("fifobus sub a -n 3", "blocking");
  const auto polling = Spawn("fifobus sub a -n 3 --non-blocking", "polling");
  const auto spinning = Spawn("fifobus sub a -n 3 --busy-poll", "spinning");
  AwaitSubscribers(bus, 3);
  EXPECT_EQ(Run("printf '1\\n2\\n3\\n' | fifobus pub a").exit, 0);
  EXPECT_EQ(blocking->Wait(), 0);
  EXPECT_EQ(polling->Wait(), 0);
  EXPECT_EQ(spinning->Wait(), 0);
  for (const char* name : {"blocking", "polling", "spinning"}) {
    EXPECT_EQ(ReadFile(Path(name)), "1\n2\n3\n") << name;
  }
}

TEST_F(CliTest, ATimeoutExitsWithThree) {
  const TestBus bus;
  Use(bus);
  for (const char* mode : {"", "--non-blocking", "--busy-poll"}) {
    EXPECT_EQ(Run(fmt::format("fifobus sub a --timeout 20ms {}", mode)).exit, 3)
        << mode;
  }
}

TEST_F(CliTest, SubEndsQuietlyWhenItsReaderGoesAway) {
  const TestBus bus;
  Use(bus);
  const auto pipeline = Spawn(
      "(fifobus sub a; echo \"sub ended with $?\" >&2) | head -n 1", "head");
  AwaitSubscribers(bus, 1);
  const auto client = bus.Connect();
  ASSERT_EQ(client->Publish("a", "first"), PublishOutcome::kSent);
  // It notices when it next has something to write.
  ASSERT_TRUE(WaitUntil([&] {
    (void)client->Publish("a", "more");
    return !ReadFile(Path("head.err")).empty();
  }));
  EXPECT_EQ(pipeline->Wait(), 0);
  EXPECT_EQ(ReadFile(Path("head")), "first\n");
  EXPECT_EQ(ReadFile(Path("head.err")), "sub ended with 0\n");
}

TEST_F(CliTest, SubSurvivesTheBrokerAndTellsOfTheGap) {
  TestBus bus;
  Use(bus);
  const auto subscriber = Spawn("fifobus sub a -n 2", "s");
  AwaitSubscribers(bus, 1);
  ASSERT_EQ(bus.Connect()->Publish("a", "before"), PublishOutcome::kSent);
  ASSERT_TRUE(WaitUntil([&] { return ReadFile(Path("s")) == "before\n"; }));
  bus.Restart();
  AwaitSubscribers(bus, 1);
  ASSERT_EQ(bus.Connect()->Publish("a", "after"), PublishOutcome::kSent);
  EXPECT_EQ(subscriber->Wait(), 0);
  EXPECT_EQ(ReadFile(Path("s")), "before\nafter\n");
  EXPECT_NE(ReadFile(Path("s.err")).find("unknown number"), std::string::npos);
}

TEST_F(CliTest, PathMakesTheTapThatEchoAndCatUse) {
  const TestBus bus;
  Use(bus);
  const Outcome path = Run("fifobus path home/kitchen/temp");
  EXPECT_EQ(path.exit, 0);
  EXPECT_EQ(path.out, bus.dir() + "/topics/home/kitchen/temp.in\n");
  EXPECT_EQ(Run("fifobus path home/kitchen/temp").out, path.out) << "again";
  const Outcome both =
      Run("out=$FIFOBUS_DIR/topics/home/kitchen/temp.out; mkfifo $out/me; "
          "head -n 1 $out/me & echo 'Hello World!' > "
          "\"$(fifobus path home/kitchen/temp)\"; wait");
  EXPECT_EQ(both.exit, 0);
  EXPECT_EQ(both.out, "Hello World!\n");
}

TEST_F(CliTest, LsShowsTopicsSessionsTapsAndCounters) {
  const TestBus bus;
  Use(bus);
  const auto client = bus.Subscribe("a/*");
  const auto subscriber = Spawn("fifobus sub a/b", "s");
  AwaitSubscribers(bus, 2);
  EXPECT_EQ(Run("fifobus path a/b").exit, 0);
  EXPECT_EQ(Run("mkfifo $FIFOBUS_DIR/topics/a/b.out/tap").exit, 0);
  EXPECT_EQ(Run("fifobus pub a/b hello; fifobus pub nobody listens").exit, 0);
  EXPECT_EQ(ReceivePayloads(*client, 1), std::vector<std::string>{"hello"});
  json stats;
  ASSERT_TRUE(WaitUntil([&] {
    stats = json::parse(Run("fifobus ls --json").out);
    return stats["topics"].size() == 2;
  }));
  ASSERT_EQ(stats["topics"].size(), 2u) << stats;
  for (const json& topic : stats["topics"]) {
    const bool heard = topic["name"] == "a/b";
    EXPECT_EQ(topic["messages"], 1) << topic;
    EXPECT_EQ(topic["no_subscriber"], heard ? 0 : 1) << topic;
    EXPECT_EQ(topic["subscribers"], heard ? 3 : 0) << topic;
  }
  EXPECT_EQ(stats["taps"][0]["name"], "a/b.out/tap") << stats;
  const std::string table = Run("fifobus ls").out;
  for (const char* text : {"a/b", "nobody", "fifobus sub", "a/*", "tap"}) {
    EXPECT_NE(table.find(text), std::string::npos) << text << "\n" << table;
  }
}

TEST_F(CliTest, BenchCountsEveryMessageOfEveryPublisher) {
  const TestBus bus;
  Use(bus);
  const auto subscriber =
      Spawn("fifobus bench sub load --count 3000 --timeout 60s --json", "s");
  AwaitSubscribers(bus, 1);
  const Outcome publishers = Run(
      "fifobus bench pub load --count 1000 --size 64 --batch --id 1 & "
      "fifobus bench pub load --count 1000 --size 5000 --id 2 --busy-poll & "
      "fifobus bench pub load --count 1000 --rate 5000 --non-blocking --id 3; "
      "wait");
  EXPECT_EQ(publishers.exit, 0) << publishers.err;
  EXPECT_EQ(subscriber->Wait(), 0);
  const json result = json::parse(ReadFile(Path("s")));
  EXPECT_EQ(result["messages"], 3000);
  EXPECT_EQ(result["bytes"], 1000 * (64 + 5000 + 16));
  EXPECT_EQ(result["lost"], 0);
  EXPECT_EQ(result["out_of_order"], 0);
  EXPECT_GT(result["msgs_per_s"], 0);
  EXPECT_LE(result["latency_us"]["p50"], result["latency_us"]["p99"]);
}

TEST_F(CliTest, BenchSubTellsWhatCameWhenItTimesOut) {
  const TestBus bus;
  Use(bus);
  const auto subscriber =
      Spawn("fifobus bench sub load --count 9 --timeout 1s --json", "s");
  AwaitSubscribers(bus, 1);
  EXPECT_EQ(Run("fifobus bench pub load --count 5").exit, 0);
  EXPECT_EQ(subscriber->Wait(), 3);
  EXPECT_EQ(json::parse(ReadFile(Path("s")))["messages"], 5);
}

}  // namespace
}  // namespace fifobus
